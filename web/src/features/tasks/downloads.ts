/** Files out of the platform. */

import { api, data } from '@/api/client'
import { authorizedFetch } from '@/api/http'
import type { Artifact, Task } from '@/api/model'
import { problemOf } from '@/api/problem'

function follow(href: string, how: { download: string } | { target: '_blank' }): void {
  const link = Object.assign(document.createElement('a'), { href, rel: 'noopener', ...how })
  link.click()
}

/** The whole log; through `fetch`, since a plain link could not carry the token. */
export async function downloadLog(task: Task, attempt: number | null): Promise<void> {
  const url = new URL(`/api/v1/tasks/${task.id}/log`, location.origin)
  if (attempt !== null) url.searchParams.set('attempt', String(attempt))
  const response = await authorizedFetch(new Request(url))
  if (!response.ok) throw await problemOf(response)
  const object = URL.createObjectURL(await response.blob())
  follow(object, { download: `${task.name.replace(/[^\p{L}\p{N}._-]+/gu, '_')}.log` })
  setTimeout(() => URL.revokeObjectURL(object), 60_000) // the browser may still be reading
}

/**
 * Straight from the object store: the link is signed and lasts ten minutes. In another tab, since browsers ignore
 * `download` for another origin, and what they can show would take the place of the console.
 */
export async function downloadArtifact(artifact: Artifact): Promise<void> {
  const { url } = await data(
    api.GET('/api/v1/artifacts/{artifact_id}/download', { params: { path: { artifact_id: artifact.id } } }),
  )
  follow(url, { target: '_blank' })
}
