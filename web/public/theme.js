// Applies the remembered (or the system's) theme before the first paint; src/composables/theme.ts takes over later.
;(() => {
  let choice = null
  try {
    choice = localStorage.getItem('rg.theme')
  } catch {
    // Storage is blocked: follow the system.
  }
  const systemIsDark = matchMedia('(prefers-color-scheme: dark)').matches
  document.documentElement.classList.toggle('dark', choice === 'dark' || (choice !== 'light' && systemIsDark))
})()
