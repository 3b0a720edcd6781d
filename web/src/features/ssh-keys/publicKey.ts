/** The comment of an OpenSSH public key line: what follows type and key. */
export function commentOf(publicKey: string): string {
  const [type = '', , ...comment] = publicKey.trim().split(/\s+/)
  return /^(?:ssh-|ecdsa-|sk-)/.test(type) ? comment.join(' ').slice(0, 100) : ''
}
