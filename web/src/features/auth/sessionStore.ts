/** Who is signed in. The token itself stays in `api/session`. */

import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'

import { api, data } from '@/api/client'
import type { Role, User } from '@/api/model'
import type { ApiProblem } from '@/api/problem'
import { adoptLogin, dropSession, onSessionChange, renewSession } from '@/api/session'

export type SessionStatus = 'unknown' | 'signed_in' | 'signed_out' | 'unreachable'

export const useSession = defineStore('session', () => {
  const user = shallowRef<User | null>(null)
  const status = ref<SessionStatus>('unknown')
  const problem = shallowRef<ApiProblem | null>(null)

  onSessionChange((login) => {
    user.value = login?.user ?? null
    status.value = login ? 'signed_in' : 'signed_out'
  })

  /** Kept from a sign-in that must be followed by a change of password, until that page takes it. Never stored. */
  let typedPassword = ''

  const isSignedIn = computed(() => status.value === 'signed_in')
  const mustChangePassword = computed(() => user.value?.must_change_password ?? false)
  const role = computed<Role | null>(() => user.value?.role ?? null)
  const isAdmin = computed(() => role.value === 'admin')

  /** Picks up the session of the refresh cookie, if there is one. */
  async function restore(): Promise<void> {
    const outcome = await renewSession()
    problem.value = outcome.kind === 'failed' ? outcome.problem : null
    if (outcome.kind === 'failed') status.value = 'unreachable'
  }

  async function signIn(email: string, password: string): Promise<void> {
    const login = await data(api.POST('/api/v1/auth/login', { body: { email, password } }))
    typedPassword = login.user.must_change_password ? password : ''
    adoptLogin(login)
  }

  function takeTypedPassword(): string {
    const typed = typedPassword
    typedPassword = ''
    return typed
  }

  async function changePassword(current: string, next: string): Promise<void> {
    const body = { current_password: current, new_password: next }
    adoptLogin(await data(api.POST('/api/v1/auth/password', { body })))
  }

  /** Ends the session here even if the server can not be told. */
  async function signOut(): Promise<void> {
    try {
      await data(api.POST('/api/v1/auth/logout', { body: null }))
    } finally {
      dropSession()
    }
  }

  return {
    user,
    status,
    problem,
    role,
    isAdmin,
    isSignedIn,
    mustChangePassword,
    restore,
    signIn,
    takeTypedPassword,
    changePassword,
    signOut,
  }
})
