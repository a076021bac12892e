import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { describePlaintext, guessProtocol } from '../../../../gateway/upstream/plaintext.ts'
import { PlaintextSuspects } from '../../../../gateway/upstream/plaintext-tap.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')

const CASES: Record<string, { says: string; protocol: string | null }> = {
  OpenSSH: { says: 'SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n', protocol: 'SSH' },
  'a VNC server': { says: 'RFB 003.008\n', protocol: 'VNC' },
  'nginx on a plain port': { says: 'HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n', protocol: 'HTTP' },
  'HTTP/0.9': { says: '<html>\r\n<head><title>400', protocol: 'HTTP' },
  'an HTTP/2 server without TLS': {
    says: '\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64',
    protocol: 'HTTP/2 without TLS',
  },
  Postfix: { says: '220 mail.example ESMTP Postfix (Debian)\r\n', protocol: 'SMTP' },
  'Exim, several lines': { says: '220-mail.example ESMTP Exim 4.96\r\n220 x\r\n', protocol: 'SMTP' },
  vsftpd: { says: '220 (vsFTPd 3.0.3)\r\n', protocol: 'FTP' },
  ProFTPD: { says: '220 ProFTPD Server (x) [::1]\r\n', protocol: 'FTP' },
  'a shy greeting': { says: '220 welcome\r\n', protocol: 'SMTP or FTP' },
  INN: { says: '200 news.example InterNetNews ready\r\n', protocol: 'NNTP' },
  'Dovecot, POP3': { says: '+OK Dovecot (Debian) ready.\r\n', protocol: 'POP3' },
  'POP3 that says little': { says: '+OK \r\n', protocol: 'POP3' },
  'Dovecot, IMAP': { says: '* OK [CAPABILITY IMAP4rev1 STARTTLS] Dovecot ready.\r\n', protocol: 'IMAP' },
  Redis: { says: "-ERR unknown command '\x16\x03\x01'\r\n", protocol: 'Redis' },
  'Redis, protected': { says: '-DENIED Redis is running in protected mode\r\n', protocol: 'Redis' },
  MySQL: { says: '\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0', protocol: 'MySQL' },
  MariaDB: { says: '\x59\0\0\0\x0a5.5.5-10.11.6-MariaDB\0', protocol: 'MySQL' },
  'MySQL that blocks the host': { says: '\x45\0\0\0\xff\x6a\x04Host is not allowed', protocol: 'MySQL' },
  PostgreSQL: { says: 'E\0\0\0\x8dSFATAL\0VFATAL\0C08P01\0', protocol: 'PostgreSQL' },
  'LDAP: notice of disconnection': { says: '\x30\x24\x02\x01\0\x78\x1f', protocol: 'LDAP' },
  RabbitMQ: { says: 'AMQP\0\0\x09\x01', protocol: 'AMQP' },
  memcached: { says: 'ERROR\r\n', protocol: 'memcached' },
  telnetd: { says: '\xff\xfd\x18\xff\xfd\x20', protocol: 'Telnet' },
  'a TLS alert': { says: '\x15\x03\x01\0\x02\x02\x28', protocol: null },
  nothing: { says: '', protocol: null },
  'something else': { says: 'hello', protocol: null },
}

describe('guessProtocol', () => {
  for (const [name, { says, protocol }] of Object.entries(CASES)) {
    test(`${name}: ${protocol}`, () => {
      expect(guessProtocol(bytes(says))).toBe(protocol)
    })
  }
})

describe('describePlaintext', () => {
  test('shows the beginning, escaped', () => {
    expect(describePlaintext(bytes('SSH-2.0-"\\\x1b[31m\r\n'))).toBe(
      'it looks like SSH: "SSH-2.0-\\"\\\\\\x1b[31m\\r\\n"',
    )
    expect(describePlaintext(bytes('hello'))).toBe('it begins with "hello"')
    expect(describePlaintext(bytes(''))).toBeNull()
  })

  test('is short and printable whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 2000 }), (any) => {
        expect(describePlaintext(any)).toMatch(/^[\x20-\x7e]{1,300}…?"$/)
      }),
    )
  })
})

describe('PlaintextSuspects', () => {
  test('remembers for ten minutes, or until it is told otherwise', () => {
    let now = 0
    const suspects = new PlaintextSuspects(() => now)
    suspects.add('a')
    suspects.add('b')
    suspects.delete('b')
    expect([suspects.has('a'), suspects.has('b'), suspects.has('c')]).toEqual([true, false, false])
    now = 600_000
    expect(suspects.has('a')).toBe(false)
  })

  test('remembers a thousand', () => {
    const suspects = new PlaintextSuspects()
    for (let index = 0; index <= 1_000; index += 1) suspects.add(`${index}`)
    expect([suspects.has('0'), suspects.has('1'), suspects.has('1000')]).toEqual([false, true, true])
  })
})
