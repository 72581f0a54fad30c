// Names in other scripts than ASCII: from what a person writes to what DNS takes, by Node's own UTS
// #46 (non-transitional) and the letters of IDNA2008, and which labels may be shown as they were
// written. Pure. It must never let a label be shown that could pass for another: such a one is shown
// in ASCII.

import { domainToASCII, domainToUnicode } from 'node:url';
import type { Spelling } from '../core/model.ts';

/** Whether a text has a character that is not ASCII. */
export function isForeign(text: string): boolean {
  return /[^\0-\x7f]/.test(text);
}

/** What a name may be typed with: no sign, no picture, nothing that mapping takes away unseen. */
const typed = /^[\p{L}\p{M}\p{N}\-_.\u3002\uff0e\uff61\u00b7\u05f3\u05f4\u30fb\u200c\u200d]+$/u;

/** A U-label: letters in lower case, marks and digits, and what IDNA2008 allows beside them. */
const uLabel =
  /^(?!-)(?!..--)[\p{Ll}\p{Lo}\p{Lm}\p{M}\p{Nd}\-\u00b7\u05f3\u05f4\u30fb\u200c\u200d]+(?<!-)$/u;

/**
 * A name, or part of one in whole labels, in ASCII: `例子.example` is `xn--fsqu00a.example`. What is
 * ASCII stays as it is; null when a label is none in any script (RFC 5891, UTS #46).
 */
export function toAscii(text: string): string | null {
  if (!isForeign(text)) return text;
  const ascii = typed.test(text) ? domainToASCII(text) : '';
  if (ascii === '') return null;
  const labels = domainToUnicode(ascii).split('.');
  return labels.every((label) => !isForeign(label) || uLabel.test(label)) ? ascii : null;
}

/** The first label of a name that is none in any script; null: none of them alone is the reason. */
export function badLabel(text: string): string | null {
  const labels = text.split(/[.\u3002\uff0e\uff61]/);
  // Node takes what is wholly ASCII as it stands.
  const isOdd = (l: string) => /^xn--/i.test(l) && domainToASCII(`${l}.\u00e9`) === '';
  return labels.find((label) => toAscii(label) === null || isOdd(label)) ?? null;
}

/** The labels of a name that was written in its own script: in ASCII, and as they may be shown. */
export function labelsOf(text: string): {
  readonly shown: Spelling;
  /** In ASCII, those that are never shown otherwise, for they could pass for others. */
  readonly unshown: readonly string[];
} {
  const ascii = isForeign(text) ? toAscii(text) : null;
  if (ascii === null) return { shown: {}, unshown: [] };
  const own = domainToUnicode(ascii).split('.');
  const pairs = ascii.split('.').flatMap((label, i) => {
    // What was typed as xn-- in it stays so, too.
    return isForeign(own[i]!) && !text.toLowerCase().includes(label) ? [[label, own[i]!]] : [];
  });
  return {
    shown: Object.fromEntries(pairs.filter(([, label]) => isPlain(label!))),
    unshown: pairs.flatMap(([label, shown]) => (isPlain(shown!) ? [] : label!)),
  };
}

/** Scripts that mean themselves, alone in a label; none of those that are written from the right. */
const alone =
  'Cyrl Grek Armn Geor Ethi Deva Beng Guru Gujr Orya Taml Telu Knda Mlym Sinh Thai Laoo Mymr'
    .split(' ')
    .map((script) => new RegExp(`^[\\p{scx=${script}}0-9-]+$`, 'u'));

/** Latin beside one of the writings of East Asia, as UTS #39 (5.2, highly restrictive) has it. */
const together = [
  /^[a-z0-9\p{scx=Latn}\p{scx=Han}\p{scx=Hira}\p{scx=Kana}-]+$/u,
  /^[a-z0-9\p{scx=Latn}\p{scx=Han}\p{scx=Bopo}-]+$/u,
  /^[a-z0-9\p{scx=Latn}\p{scx=Han}\p{scx=Hang}-]+$/u,
];

/** Letters drawn as Latin ones: of a label that has no others nobody can tell. */
const drawnAsLatin = /^[аысԁеԍһіюјӏорԗԛѕԝхуъьҽпгѵѡαικνρυωηοτχ0-9-]+$/u;
/** Strokes that pass for a sign of ASCII beside Latin letters. */
const strokes = /[一丨丶丿〇ーノソゾンニ・]/u;
/** Latin letters that are more than one of ASCII with a mark. */
const ofTheirOwn = /[ßæøœđłþðŋħə]/gu;

/** Whether a U-label can be taken for no other by its looks (UTS #39). */
function isPlain(label: string): boolean {
  if (/\u200c|\u200d|[\u00b7\u05f3\u05f4]/.test(label) || drawnAsLatin.test(label)) return false;
  if (alone.some((script) => script.test(label))) return true;
  if (!together.some((scripts) => scripts.test(label))) return false;
  const hasLatin = /\p{Script=Latin}/u.test(label);
  const bare = label.replace(ofTheirOwn, '').normalize('NFD');
  const isOfAscii = !/(?![a-z])\p{Script=Latin}/u.test(bare);
  return isOfAscii && !(hasLatin && strokes.test(label));
}
