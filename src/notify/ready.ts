// The ready templates: how each vendor wants to be told, signed to, and what its answer means. One
// row a vendor, in the notation of template.ts, so that a user may take one and change it. It must
// never show a word of a vendor's answer: codes and our own words for them only.
//
// Where the formats stand, and what was read of them on 2026-11-30:
// Slack       https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (its SDKs)
// DingTalk    https://open.dingtalk.com/document/orgapp/custom-robot-access (copies of its signing)
// Feishu/Lark https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot (copies of it)
// WeCom       https://developer.work.weixin.qq.com/document/path/91770 (copies, and reports of codes)
// PagerDuty   its developer-docs repository, docs/events-API-v2/02-Trigger-Events.md
// Codes of chats that no copy had (DingTalk's but 310000, Feishu's but 9499) are as they are known.

import { createHmac } from 'node:crypto';
import type { Json } from '../core/model.ts';
import { TellError } from './fault.ts';
import { faultOfStatus, type Posted } from './post.ts';
import type { Template } from './template.ts';

/** A message on its way: what a signature may still be put into. */
interface Dressed {
  readonly url: URL;
  readonly body: Json;
}

export interface ReadyTemplate {
  /** The address is a key: it is taken from a reference alone. */
  readonly isUrlSecret: boolean;
  /** Where everybody's messages go; null: to an address of one's own. */
  readonly url: string | null;
  /** What `secret` is for; null: nothing. */
  readonly secret: 'signs' | 'is in the message';
  readonly template: Template;
  /** Signs as the vendor wants it. `wall` in milliseconds since 1970. */
  dress?(message: Dressed, secret: string, wall: number): Dressed;
  /** null: it was told. */
  judge(answer: Posted): TellError | null;
}

function hmac(key: string, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64');
}

/** The number under one of some keys of a JSON object; null: there is none. */
function codeIn(text: string, ...keys: readonly string[]): number | null {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof document !== 'object' || document === null) return null;
  const all = document as Readonly<Record<string, unknown>>;
  const found = keys.map((key) => all[key]).find((value) => typeof value === 'number');
  return typeof found === 'number' ? found : null;
}

/** For vendors that answer 200 to everything and say in a number what is wrong. */
function byCode(
  keys: readonly string[],
  words: Readonly<Record<number, string>>,
  tooMany: readonly number[],
): ReadyTemplate['judge'] {
  return (answer) => {
    const byStatus = faultOfStatus(answer);
    if (byStatus !== null) return byStatus;
    const code = codeIn(answer.text, ...keys);
    if (code === 0) return null;
    if (code === null) return new TellError('an answer without the code it should have');
    if (tooMany.includes(code)) {
      return new TellError(`code ${code}: too many messages`, { retryAfterMs: 60_000 });
    }
    const word = words[code];
    return new TellError(`code ${code}${word === undefined ? '' : `: ${word}`}`, {
      isFinal: true,
    });
  };
}

const slack: ReadyTemplate = {
  isUrlSecret: true,
  url: null,
  secret: 'signs',
  template: {
    text: '{{mark}} {{title|slack}}: {{sentence|slack}}',
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: '{{mark}} {{title|short}}' } },
      { type: 'section', text: { type: 'plain_text', text: '{{sentence}}' } },
      {
        type: 'context',
        elements: [{ type: 'mrkdwn', text: '{{severity}}, {{time}}, `{{explain|slack}}`' }],
      },
      {
        '{{approve}}': {
          set: {
            type: 'section',
            text: {
              type: 'mrkdwn',
              text: '<{{approve|slack}}|Approve> or <{{reject|slack}}|reject>: each opens a page',
            },
          },
        },
      },
      {
        '{{link}}': {
          set: { type: 'section', text: { type: 'mrkdwn', text: '<{{link|slack}}|More>' } },
        },
      },
    ],
  },
  judge: (answer) => {
    const byStatus = faultOfStatus(answer);
    if (byStatus !== null) return byStatus;
    return answer.text.trim() === 'ok' ? null : new TellError('an answer that is not ok');
  },
};

const text: Template = '{{text}}';

const dingtalk: ReadyTemplate = {
  isUrlSecret: true,
  url: null,
  secret: 'signs',
  template: { msgtype: 'text', text: { content: text } },
  /** The time in milliseconds and the key are signed with the key; both stand in the address. */
  dress({ url, body }, secret, wall) {
    const timestamp = String(Math.floor(wall));
    const signed = new URL(url);
    signed.searchParams.set('timestamp', timestamp);
    signed.searchParams.set('sign', hmac(secret, `${timestamp}\n${secret}`));
    return { url: signed, body };
  },
  judge: byCode(
    ['errcode'],
    {
      310000: 'keyword, signature or address is not as the security settings of its robot want it',
      300001: 'its token is not known there',
      400013: 'its group is no more',
    },
    [130101, 410100],
  ),
};

const feishu: ReadyTemplate = {
  isUrlSecret: true,
  url: null,
  secret: 'signs',
  template: {
    msg_type: 'interactive',
    card: {
      config: { wide_screen_mode: true },
      header: {
        template: {
          '{{state}}': {
            closed: 'green',
            else: { '{{severity}}': { page: 'red', warn: 'orange', else: 'blue' } },
          },
        },
        title: { tag: 'plain_text', content: '{{mark}} {{title|short}}' },
      },
      elements: [
        { tag: 'div', text: { tag: 'plain_text', content: '{{sentence}}' } },
        {
          tag: 'note',
          elements: [{ tag: 'plain_text', content: '{{severity}}, {{time}}, {{explain}}' }],
        },
        {
          '{{approve}}': {
            set: {
              tag: 'action',
              actions: [
                {
                  tag: 'button',
                  type: 'primary',
                  text: { tag: 'plain_text', content: 'Approve' },
                  url: '{{approve}}',
                },
                {
                  tag: 'button',
                  type: 'default',
                  text: { tag: 'plain_text', content: 'Reject' },
                  url: '{{reject}}',
                },
              ],
            },
          },
        },
        {
          '{{link}}': { set: { tag: 'div', text: { tag: 'plain_text', content: '{{link}}' } } },
        },
      ],
    },
  },
  /** The time in seconds and the key are the key that signs nothing; both stand in the message. */
  dress({ url, body }, secret, wall) {
    const timestamp = String(Math.floor(wall / 1000));
    const sign = hmac(`${timestamp}\n${secret}`, '');
    return { url, body: { timestamp, sign, ...(body as Record<string, Json>) } };
  },
  judge: byCode(
    ['code', 'StatusCode'],
    {
      9499: 'it does not take the form of the message',
      19001: 'its address is not known there',
      19021: 'the signature does not fit, or a clock is off by more than an hour',
      19022: 'our address is not on its list',
      19024: 'the message lacks its keyword',
    },
    [11232],
  ),
};

const wecom: ReadyTemplate = {
  isUrlSecret: true,
  url: null,
  secret: 'signs',
  template: { msgtype: 'text', text: { content: text } },
  judge: byCode(
    ['errcode'],
    { 93000: 'its key is not known there', 40008: 'it does not take the form of the message' },
    [45009],
  ),
};

const pagerduty: ReadyTemplate = {
  isUrlSecret: false,
  url: 'https://events.pagerduty.com/v2/enqueue',
  secret: 'is in the message',
  template: {
    routing_key: '{{secret}}',
    event_action: { '{{state}}': { closed: 'resolve', else: 'trigger' } },
    dedup_key: '{{dedup}}',
    client: 'Detour',
    client_url: { '{{link}}': { set: '{{link}}' } },
    payload: {
      summary: '{{title|short}}: {{sentence}}',
      source: '{{cluster}}',
      severity: { '{{severity}}': { page: 'critical', warn: 'warning', else: 'info' } },
      timestamp: '{{time}}',
      component: { '{{record}}': { set: '{{record}}' } },
      group: '{{cluster}}',
      class: '{{kind}}',
      custom_details: {
        key: '{{key}}',
        since: '{{since}}',
        explain: '{{explain}}',
        data: '{{data}}',
      },
    },
    links: [
      { '{{approve}}': { set: { href: '{{approve}}', text: 'Approve (opens a page)' } } },
      { '{{approve}}': { set: { href: '{{reject}}', text: 'Reject (opens a page)' } } },
    ],
  },
  judge: (answer) => {
    // 400 is a message that is wrong and stays so; 429 and 5xx are to be tried again.
    return faultOfStatus(answer);
  },
};

export const readyTemplates: Readonly<Record<string, ReadyTemplate>> = {
  dingtalk,
  feishu,
  lark: feishu,
  pagerduty,
  slack,
  wecom,
};
