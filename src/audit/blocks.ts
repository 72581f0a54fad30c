// The pages with which a cloud answers in the place of whoever is asked, because the name has no
// filing there (备案), or lost it. One table, each row with where it was seen. A page that is not in
// it is no less a page: what it says is then not what the check expects.

import type { Visited } from '../ports.ts';

type Answer = NonNullable<Visited['answer']>;

/** A row matches where all that it names does. */
interface Block {
  readonly by: string;
  readonly status?: number;
  readonly server?: RegExp;
  readonly location?: RegExp;
  readonly body?: RegExp;
  /** Where it was seen, by whom who had it. */
  readonly seen: string;
}

export const blocks: readonly Block[] = [
  {
    by: 'Alibaba Cloud',
    status: 403,
    body: /Non-compliance ICP Filing|aliyun\.com\/beian\/beian-block/,
    seen: 'mainland nodes, by Host on any port, 2024 to 2026; TLS is reset once the name is sent',
  },
  {
    by: 'Alibaba Cloud',
    status: 403,
    server: /^Beaver\b/,
    seen: 'the same nodes, where the page comes without its body (HEAD)',
  },
  {
    by: 'Alibaba Cloud',
    body: /batit\.aliyun\.com\/alww\.html/,
    seen: 'the same nodes, in older pages; recognised so by several probing tools',
  },
  {
    by: 'Alibaba Cloud',
    body: /该域名当前备案状态不符合访问要求/,
    seen: 'the same nodes, the page in Chinese',
  },
  {
    by: 'Tencent Cloud',
    location: /^https?:\/\/dnspod\.qcloud\.com\/static\/webblock\.html/,
    seen: 'mainland nodes, status 302 by Host on any port, 2024 to 2026; with TLS sometimes a reset',
  },
  {
    by: 'Tencent Cloud',
    body: /dnspod\.qcloud\.com\/static\/webblock\.html/,
    seen: 'the same, where a proxy has followed it',
  },
  {
    by: 'a hoster',
    body: /本网站尚未进行备案/,
    seen: 'pages of hosting panels that stand in for a name without a filing',
  },
];

/** Whose page an answer is; null: nobody's that is known. */
export function blockOf(answer: Answer): Block | null {
  const found = blocks.find(({ status, server, location, body }) => {
    const isSo = (pattern: RegExp | undefined, text: string | null) =>
      pattern === undefined || pattern.test(text ?? '');
    const isStatus = status === undefined || status === answer.status;
    return (
      isStatus &&
      isSo(server, answer.server) &&
      isSo(location, answer.location) &&
      isSo(body, answer.body)
    );
  });
  return found ?? null;
}
