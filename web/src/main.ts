import './app/styles/element'
import './app/styles/tokens.css'
import './app/styles/base.css'

import { VueQueryPlugin } from '@tanstack/vue-query'
import { createPinia } from 'pinia'
import { createApp, watch } from 'vue'

import App from './app/App.vue'
import { createTranslations } from './app/i18n'
import { usePreferences } from './app/preferences'
import { createQueryClient } from './app/queryClient'
import { createConsoleRouter } from './app/router'
import { useSession } from './features/auth/sessionStore'

const app = createApp(App)
app.use(createPinia())

const preferences = usePreferences()
const translations = createTranslations(preferences.locale)
watch(
  () => preferences.locale,
  (locale) => (translations.global.locale.value = locale),
)

const router = createConsoleRouter()
const session = useSession()
const queryClient = createQueryClient((problem) => {
  // Someone reset the password while this page was open.
  if (problem.code === 'password_change_required') void router.push({ name: 'change-password' })
})

// Another person on the same browser must not see what the last one had loaded.
watch(
  () => session.user?.id,
  () => queryClient.clear(),
)
watch(
  () => session.status,
  (status) => {
    const here = router.currentRoute.value
    if (status === 'signed_out' && here.meta.roles)
      void router.push({ name: 'sign-in', query: { next: here.fullPath } })
  },
)

app.use(translations).use(VueQueryPlugin, { queryClient }).use(router)
app.mount('#app')
