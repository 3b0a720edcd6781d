/** What a state means to the reader, which decides its colour. */
export type Tone = 'ok' | 'warn' | 'bad' | 'busy' | 'idle'
