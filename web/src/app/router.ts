import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'

import type { Role } from '@/api/model'
import { useSession } from '@/features/auth/sessionStore'

import { ADMIN, EVERYONE, OWNER } from './navigation'
import { nextStop } from './routeGuard'

declare module 'vue-router' {
  interface RouteMeta {
    /** Roles that may open the page; absent: it needs no sign-in. */
    roles?: readonly Role[]
    /** Side bar entry that is lit. */
    nav?: string
    /** Without the frame of side bar and top bar. */
    bare?: boolean
  }
}

const routes: RouteRecordRaw[] = [
  {
    path: '/sign-in',
    name: 'sign-in',
    component: () => import('@/features/auth/SignInPage.vue'),
    meta: { bare: true },
  },
  {
    path: '/change-password',
    name: 'change-password',
    component: () => import('@/features/auth/ChangePasswordPage.vue'),
    meta: { bare: true, roles: EVERYONE },
  },
  {
    path: '/api-docs/:rest(.*)*', // the server sends /api/v1/docs here
    name: 'api-docs',
    component: () => import('@/features/api-docs/ApiDocsPage.vue'),
    meta: { bare: true },
  },
  {
    path: '/',
    name: 'overview',
    component: () => import('@/features/overview/OverviewPage.vue'),
    meta: { roles: EVERYONE, nav: 'overview' },
  },
  {
    path: '/machines',
    name: 'machines',
    component: () => import('@/features/machines/MachinesPage.vue'),
    meta: { roles: EVERYONE, nav: 'machines' },
  },
  {
    path: '/machines/:id',
    name: 'machine',
    component: () => import('@/features/machines/MachinePage.vue'),
    props: true,
    meta: { roles: EVERYONE, nav: 'machines' },
  },
  {
    path: '/machines/:id/terminal',
    name: 'terminal',
    component: () => import('@/features/terminal/TerminalPage.vue'),
    props: true,
    meta: { roles: EVERYONE, nav: 'machines' },
  },
  {
    path: '/allocations',
    name: 'allocations',
    component: () => import('@/features/allocations/AllocationsPage.vue'),
    meta: { roles: EVERYONE, nav: 'allocations' },
  },
  {
    path: '/allocations/:id',
    name: 'allocation',
    component: () => import('@/features/allocations/AllocationPage.vue'),
    props: true,
    meta: { roles: EVERYONE, nav: 'allocations' },
  },
  {
    path: '/tasks',
    name: 'tasks',
    component: () => import('@/features/tasks/TasksPage.vue'),
    meta: { roles: EVERYONE, nav: 'tasks' },
  },
  {
    path: '/tasks/new',
    name: 'task-new',
    component: () => import('@/features/tasks/SubmitTaskPage.vue'),
    meta: { roles: EVERYONE, nav: 'tasks' },
  },
  {
    path: '/tasks/:id',
    name: 'task',
    component: () => import('@/features/tasks/TaskPage.vue'),
    props: true,
    meta: { roles: EVERYONE, nav: 'tasks' },
  },
  {
    path: '/sessions',
    name: 'sessions',
    component: () => import('@/features/sessions/SessionsPage.vue'),
    meta: { roles: EVERYONE, nav: 'sessions' },
  },
  {
    path: '/customers',
    name: 'customers',
    component: () => import('@/features/customers/CustomersPage.vue'),
    meta: { roles: ADMIN, nav: 'customers' },
  },
  {
    path: '/customers/:id',
    name: 'customer',
    component: () => import('@/features/customers/CustomerPage.vue'),
    props: true,
    meta: { roles: ADMIN, nav: 'customers' },
  },
  {
    path: '/members',
    name: 'members',
    component: () => import('@/features/customers/MembersPage.vue'),
    meta: { roles: OWNER, nav: 'members' },
  },
  {
    path: '/join-tokens',
    name: 'join-tokens',
    component: () => import('@/features/join-tokens/JoinTokensPage.vue'),
    meta: { roles: ADMIN, nav: 'join-tokens' },
  },
  {
    path: '/audit',
    name: 'audit',
    component: () => import('@/features/audit/AuditPage.vue'),
    meta: { roles: ADMIN, nav: 'audit' },
  },
  {
    path: '/ssh-keys',
    name: 'ssh-keys',
    component: () => import('@/features/ssh-keys/SshKeysPage.vue'),
    meta: { roles: EVERYONE, nav: 'ssh-keys' },
  },
  {
    path: '/tokens',
    name: 'tokens',
    component: () => import('@/features/tokens/TokensPage.vue'),
    meta: { roles: EVERYONE, nav: 'tokens' },
  },
  {
    path: '/:path(.*)*',
    name: 'not-found',
    component: () => import('./NotFoundPage.vue'),
    meta: { roles: EVERYONE },
  },
]

export function createConsoleRouter() {
  const router = createRouter({
    history: createWebHistory('/'),
    routes,
  })
  router.beforeEach(async (to) => {
    const session = useSession()
    if (session.status === 'unknown') await session.restore()
    return nextStop(
      { name: String(to.name), fullPath: to.fullPath, query: to.query, roles: to.meta.roles },
      { status: session.status, role: session.role, mustChangePassword: session.mustChangePassword },
    )
  })
  return router
}
