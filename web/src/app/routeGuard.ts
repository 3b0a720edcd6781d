/** Where a navigation really goes. Pure. */

import type { RouteLocationRaw } from 'vue-router'

import type { Role } from '@/api/model'
import type { SessionStatus } from '@/features/auth/sessionStore'

interface Destination {
  name: string
  fullPath: string
  query: Record<string, unknown>
  roles: readonly Role[] | undefined
}

interface Visitor {
  status: SessionStatus
  role: Role | null
  mustChangePassword: boolean
}

/** Only a path of this console: `//evil.example` and `https:` would leave it. */
export function safeReturnPath(next: unknown): string {
  return typeof next === 'string' && /^\/(?![/\\])/.test(next) && !next.startsWith('/sign-in') ? next : '/'
}

export function nextStop(to: Destination, visitor: Visitor): RouteLocationRaw | true {
  if (visitor.status === 'unreachable') return true // the frame shows the outage in place of any page
  if (visitor.status !== 'signed_in' || !visitor.role) {
    if (!to.roles) return true
    return { name: 'sign-in', query: to.fullPath === '/' ? {} : { next: to.fullPath } }
  }
  if (visitor.mustChangePassword && to.name !== 'change-password') {
    return { name: 'change-password', query: { next: safeReturnPath(to.query.next ?? to.fullPath) } }
  }
  if (to.name === 'sign-in') return safeReturnPath(to.query.next)
  if (to.roles && !to.roles.includes(visitor.role)) return { name: 'overview' }
  return true
}
