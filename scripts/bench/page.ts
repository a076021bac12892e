// Puts what was measured into docs/performance.md, between markers; the rest of the page is people's.

const BEGIN = '<!-- npm run bench -- --write: begin -->'
const END = '<!-- npm run bench -- --write: end -->'

/** `page` with `text` between its markers. @throws where they are not there, once each and in order */
export function replaceBetweenMarkers(page: string, text: string): string {
  const [before, rest, ...more] = page.split(BEGIN)
  const [, after, ...others] = rest?.split(END) ?? []
  if (before === undefined || after === undefined || more.length > 0 || others.length > 0) {
    throw new Error(`the page must have ${BEGIN} and, behind it, ${END}, once each`)
  }
  return `${before}${BEGIN}\n\n${text}\n\n${END}${after}`
}
