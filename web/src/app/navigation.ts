/** The pages in the side bar and who sees them. Routes ask here too, so that hiding and refusing never differ. */

import {
  Collection,
  Connection,
  Cpu,
  DataBoard,
  Document,
  Key,
  List,
  OfficeBuilding,
  Ticket,
  Tickets,
  User,
} from '@element-plus/icons-vue'
import type { Component } from 'vue'

import type { Role } from '@/api/model'

export interface NavigationItem {
  /** Name of the route, of the message `nav.<name>` and of the test id `nav-<name>`. */
  name: string
  icon: Component
  roles: readonly Role[]
}

export interface NavigationGroup {
  name: string
  items: readonly NavigationItem[]
}

export const ADMIN: readonly Role[] = ['admin']
export const OWNER: readonly Role[] = ['customer_owner']
export const EVERYONE: readonly Role[] = ['admin', 'customer_owner', 'customer_member']

export const NAVIGATION: readonly NavigationGroup[] = [
  {
    name: 'operate',
    items: [
      { name: 'overview', icon: DataBoard, roles: EVERYONE },
      { name: 'machines', icon: Cpu, roles: EVERYONE },
      { name: 'allocations', icon: Collection, roles: EVERYONE },
      { name: 'tasks', icon: List, roles: EVERYONE },
      { name: 'sessions', icon: Connection, roles: EVERYONE },
    ],
  },
  {
    name: 'manage',
    items: [
      { name: 'customers', icon: OfficeBuilding, roles: ADMIN },
      { name: 'members', icon: User, roles: OWNER },
      { name: 'join-tokens', icon: Ticket, roles: ADMIN },
      { name: 'audit', icon: Document, roles: ADMIN },
    ],
  },
  {
    name: 'account',
    items: [
      { name: 'ssh-keys', icon: Key, roles: EVERYONE },
      { name: 'tokens', icon: Tickets, roles: EVERYONE },
    ],
  },
]

export function navigationFor(role: Role | null): NavigationGroup[] {
  if (!role) return []
  return NAVIGATION.map(({ name, items }) => ({
    name,
    items: items.filter((item) => item.roles.includes(role)),
  })).filter(({ items }) => items.length > 0)
}
