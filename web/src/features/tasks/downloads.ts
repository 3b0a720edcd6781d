/** Files out of the platform. */

import { api, data } from '@/api/client'
import { authorizedFetch } from '@/api/http'
import type { Artifact, Task } from '@/api/model'
import { problemOf } from '@/api/problem'

function save(href: string, name: string): void {
  const link = document.createElement('a')
  link.href = href
  link.download = name
  link.rel = 'noopener'
  link.click()
}

/** The whole log; through `fetch`, since a plain link could not carry the token. */
export async function downloadLog(task: Task, attempt: number | null): Promise<void> {
  const url = new URL(`/api/v1/tasks/${task.id}/log`, location.origin)
  if (attempt !== null) url.searchParams.set('attempt', String(attempt))
  const response = await authorizedFetch(new Request(url))
  if (!response.ok) throw await problemOf(response)
  const object = URL.createObjectURL(await response.blob())
  save(object, `${task.name.replace(/[^\p{L}\p{N}._-]+/gu, '_')}.log`)
  setTimeout(() => URL.revokeObjectURL(object), 60_000) // the browser may still be reading
}

/** Straight from the object store: the link is signed and lasts ten minutes. */
export async function downloadArtifact(artifact: Artifact): Promise<void> {
  const { url, path } = await data(
    api.GET('/api/v1/artifacts/{artifact_id}/download', { params: { path: { artifact_id: artifact.id } } }),
  )
  save(url, path.split('/').at(-1) ?? path)
}
