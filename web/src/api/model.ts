/** Short names for the generated wire types. Nothing is declared here by hand. */

import type { components, operations, paths } from './schema'

type Schemas = components['schemas']

export type Login = Schemas['SignedIn']
export type User = Schemas['UserView']
export type Role = User['role']
export type Member = Schemas['UserView']
export type Customer = Schemas['CustomerView']
export type Machine = Schemas['MachineView']
export type MachineDetail = Schemas['MachineDetail']
export type MachineState = Machine['state']
export type Inventory = Schemas['Inventory']
export type HostSample = Schemas['HostSample']
export type GpuSample = Schemas['GpuSample']
export type Allocation = Schemas['AllocationView']
export type AllocationState = Allocation['state']
export type Task = Schemas['TaskView']
export type TaskDetail = Schemas['TaskDetail']
export type TaskState = Task['state']
export type TaskKind = Task['kind']
export type TaskCreate = Schemas['TaskCreate']
export type Artifact = Schemas['ArtifactView']
export type Session = Schemas['SessionView']
export type SessionState = Session['state']
export type JoinToken = Schemas['JoinTokenView']
export type JoinTokenCreated = Schemas['JoinTokenCreated']
export type SshKey = Schemas['SshKeyView']
export type PersonalToken = Schemas['TokenView']
export type PersonalTokenCreated = Schemas['TokenCreated']
export type AuditEvent = Schemas['AuditEntry']
export type AuditVerification = Schemas['ChainVerification']
export type Overview = Schemas['Overview']

/** A page of a list. */
export interface Page<Item> {
  items: Item[]
  total: number
  page: number
  page_size: number
}

export type { operations, paths }
