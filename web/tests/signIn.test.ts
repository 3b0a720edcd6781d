// @vitest-environment jsdom

import { flushPromises, mount } from '@vue/test-utils'
import { createPinia } from 'pinia'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'

import { createTranslations } from '@/app/i18n'
import SignInPage from '@/features/auth/SignInPage.vue'

function answer(status: number, body: object): void {
  vi.stubGlobal('fetch', () => Promise.resolve(Response.json(body, { status })))
}

async function mountPage() {
  const page = { template: '<i />' }
  const router = createRouter({
    history: createMemoryHistory(),
    routes: [
      { path: '/', component: page },
      { path: '/sign-in', name: 'sign-in', component: SignInPage },
      { path: '/machines', component: page },
    ],
  })
  await router.push('/sign-in?next=/machines')
  const wrapper = mount(SignInPage, {
    global: { plugins: [createPinia(), createTranslations('en'), router] },
  })
  const byId = (id: string) => wrapper.get(`[data-testid="${id}"]`)
  async function signIn(): Promise<void> {
    await byId('login-email').setValue('ada@acme.example')
    await byId('login-password').setValue('secret')
    await wrapper.get('form').trigger('submit')
    await flushPromises()
  }
  return { wrapper, router, byId, signIn }
}

beforeEach(() => {
  vi.unstubAllGlobals()
  vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener: () => undefined }))
})

describe('signing in', () => {
  it('asks for both fields before it asks the server', async () => {
    const fetch = vi.fn()
    vi.stubGlobal('fetch', fetch)
    const { wrapper } = await mountPage()
    await wrapper.get('form').trigger('submit')
    expect(wrapper.findAll('.below.error').map((line) => line.text())).toEqual([
      'This is needed',
      'This is needed',
    ])
    expect(fetch).not.toHaveBeenCalled()
  })

  it('says what was wrong, with the id of the request', async () => {
    answer(401, {
      code: 'invalid_credentials',
      title: 'No',
      detail: 'wrong e-mail or password',
      request_id: 'req-1',
    })
    const { wrapper, signIn } = await mountPage()
    await signIn()
    expect(wrapper.get('[role="alert"].problem').text()).toContain('E-mail or password is wrong')
    expect(wrapper.text()).toContain('req-1')
  })

  it('counts down while the account is locked, and can not be pressed meanwhile', async () => {
    answer(429, { code: 'locked_out', title: 'Slow down', detail: 'locked', retry_after: 30 })
    const { signIn, byId } = await mountPage()
    await signIn()
    expect(byId('login-locked').text()).toContain('30 s')
    expect(byId('login-submit').attributes('disabled')).toBeDefined()
  })

  it('goes on to where the visitor wanted to go', async () => {
    answer(200, {
      access_token: 't',
      expires_in: 900,
      must_change_password: false,
      user: { id: 'u', role: 'admin' },
    })
    const { router, signIn } = await mountPage()
    await signIn()
    expect(router.currentRoute.value.fullPath).toBe('/machines')
  })
})
