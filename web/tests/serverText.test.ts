// @vitest-environment jsdom
import { mount } from '@vue/test-utils'
import { describe, expect, it } from 'vitest'

import { ApiProblem, asProblem } from '@/api/problem'
import { createTranslations } from '@/app/i18n'
import { translateServerText } from '@/app/i18n/phrases'
import table from '@/app/i18n/phrases.zh-CN.json'
import ProblemNotice from '@/ui/ProblemNotice.vue'

const inChinese = (text: string) => translateServerText(text, 'zh-CN')

describe('what the server says, in Chinese', () => {
  it.each([
    ['the agreed period is over', '租期已满'],
    ['stopped by Ada Lovelace', '由 Ada Lovelace 停止'],
    ['h100-01 is reclaiming; end its allocation first', 'h100-01 的状态为回收中，请先结束其租用'],
    [
      'gpu-3 is taken: active for 星辰 AI from 2026-11-24 06:30 to 2026-12-24 06:30 UTC',
      'gpu-3 已被 星辰 AI 占用（生效中，2026-11-24 06:30 至 2026-12-24 06:30 UTC）',
    ],
    [
      'your role is customer_member, this needs one of: admin, customer_owner',
      '您的角色是成员，此操作需要：管理员、负责人',
    ],
    [
      'a task that is failed cannot become running; from here it can become: nothing, that is final',
      '任务不能从失败变为运行中：当前已是最终状态',
    ],
    ['the database is busy; nothing was changed, try again in a moment', '数据库繁忙，请稍后重试'],
    ['text of length <= 100', '最多 100 个字符'],
    ['one of active, suspended or null', '以下之一：active, suspended，或留空'],
    ['422 invalid_artifacts: these artifacts cannot be stored', '无法保存这些产物（422 invalid_artifacts）'],
  ])('%s', (english, chinese) => expect(inChinese(english)).toBe(chinese))

  it('keeps names, numbers, ids and times', () => {
    const id = '0190b6a0-7d2e-7c1a-9f3e-2b1c4d5e6f70'
    expect(inChinese(`there is no join token ${id}`)).toBe(`接入令牌 ${id} 不存在`)
    expect(inChinese("a machine named '东-1; b' exists already")).toBe('已有名为 东-1; b 的机器')
  })

  it('is put together as the English is', () => {
    expect(inChinese('task stopped; log not stored: 413 too_large: x')).toBe(
      'task stopped；日志未保存：x（413 too_large）',
    )
    expect(
      inChinese(
        'attempt 2 failed (cannot start /opt/run: Exec format error; a script begins with #! and its interpreter); retries at 12:00:00 UTC',
      ),
    ).toBe(
      '第 2 次尝试失败（无法启动 /opt/run：可执行文件格式错误；脚本第一行应为 #! 加解释器路径），将于 12:00:00 UTC 重试',
    )
    expect(inChinese('attempt 1 lost (lost); retries at 12:00:00 UTC')).toBe(
      '第 1 次尝试丢失，将于 12:00:00 UTC 重试',
    )
    expect(inChinese('stopping: the agreed period is over')).toBe('正在停止：租期已满')
    expect(inChinese('the lease has ended: ended by an administrator')).toBe('租用已结束：由管理员结束')
    expect(inChinese('process 41 (python3); /tmp/x exists; and 3 more; the agent tries again')).toBe(
      '进程 41（python3）；/tmp/x 仍然存在；另有 3 项；代理将重试',
    )
    expect(inChinese('2 output file(s) left out: a/b.bin: Permission denied; pipe: not a regular file')).toBe(
      '2 个输出文件未保存：a/b.bin：权限不足；pipe：不是普通文件',
    )
  })

  it('has sentences follow each other as sentences do', () => {
    expect(
      inChinese('This is a top-10 common password. Add another word or two. Uncommon words are better.'),
    ).toBe('这是最常见的 10 个密码之一。再加一两个词，越少见越好。')
  })

  it.each(['', 'moved to Shenzhen; see ticket 42', '机房搬迁', 'failed', 'Lease over. Thanks.'])(
    'leaves alone what people wrote: %j',
    (text) => expect(inChinese(text)).toBe(text),
  )

  it('is quick to give up on a long text of somebody', () => {
    const long = 'a; '.repeat(160)
    const begun = performance.now()
    expect(inChinese(long)).toBe(long)
    expect(performance.now() - begun).toBeLessThan(500)
  })

  it('is English in English', () => {
    for (const text of ['stopped by Ada', 'text', 'a; b']) expect(translateServerText(text, 'en')).toBe(text)
  })
})

describe('the table of phrases', () => {
  it('fills in only what its patterns catch, and all of it', () => {
    for (const { pattern, text } of table.phrases) {
      const groups = (new RegExp(`${pattern}|`).exec('')?.length ?? 1) - 1
      const used = new Set([...text.matchAll(/\{(\d)/g)].map(([, number]) => Number(number)))
      expect([...used].sort(), pattern).toEqual(Array.from({ length: groups }, (_, index) => index + 1))
    }
  })

  it('has each pattern once', () => {
    const patterns = table.phrases.map(({ pattern }) => pattern)
    expect(patterns.filter((pattern, index) => patterns.indexOf(pattern) !== index)).toEqual([])
  })
})

describe('a problem shown in Chinese', () => {
  const shown = (error: unknown) =>
    mount(ProblemNotice, { props: { error }, global: { plugins: [createTranslations('zh-CN')] } }).text()

  it('has its title, its detail and its fields in Chinese', () => {
    const problem = new ApiProblem({
      status: 409,
      code: 'email_taken',
      title: 'The state does not allow this',
      detail: 'this e-mail address has an account already',
      errors: [{ field: 'email', found: 'a@b.example', expected: 'an address without an account' }],
    })
    expect(shown(problem)).toContain('该邮箱已被使用')
    expect(shown(problem)).toContain('该邮箱已有账号')
    expect(shown(problem)).toContain('尚无账号的邮箱')
  })

  it('does not say the same twice', () => {
    const detail = 'e-mail or password is wrong'
    const problem = new ApiProblem({
      status: 401,
      code: 'invalid_credentials',
      title: 'Sign in first',
      detail,
    })
    expect(shown(problem)).toBe('邮箱或密码错误')
  })

  it('has words for a server that does not answer', () => {
    expect(shown(asProblem(new TypeError('Failed to fetch')))).toBe(
      '服务器没有响应无法连接服务器，请检查网络',
    )
  })
})
