/** The comment of an OpenSSH public key line: what follows type and key. */
export function commentOf(publicKey: string): string {
  return publicKey.trim().split(/\s+/).slice(2).join(' ').slice(0, 100)
}
