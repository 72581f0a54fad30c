// The deliberate defects: for each rule of the design's section 3 (0: a promise of another section)
// what breaking it looks like in the sources, and the scenario or test that must notice. Plain data;
// test/mutants/mutants.ts puts one at a time into a copy. A row may need several edits where the rule is
// guarded twice.

export interface Mutant {
  /** What is then wrong, as a person would say it. */
  readonly name: string;
  readonly rule: number;
  /** The scenario (without `.txt`) or test file that states the rule. */
  readonly by: string;
  readonly edits: readonly {
    readonly file: string;
    /** Stands exactly once in the file. */
    readonly find: string;
    readonly replace: string;
  }[];
}

const agree = 'src/core/agree.ts';
const cell = 'src/core/cell.ts';
const switching = 'src/core/switch.ts';
const judge = 'src/core/judge.ts';
const adopt = 'src/core/adopt.ts';
const arrange = 'src/core/arrange.ts';
const clock = 'src/run/clock.ts';
const controller = 'src/controller.ts';
const decide = 'src/core/decide.ts';
const delegation = 'src/core/delegation.ts';
const detect = 'src/core/detect.ts';
const direct = 'src/core/direct.ts';
const edits = 'src/core/edits.ts';
const engine = 'src/core/engine.ts';
const lane = 'src/core/lane.ts';
const lines = 'src/core/lines.ts';
const alidns = 'providers/alidns.ts';
const alidnsChange = 'providers/kit/alidns-change.ts';
const lock = 'src/store/lock.ts';
const operate = 'src/core/operate.ts';
const marker = 'src/core/marker.ts';
const pace = 'src/core/pace.ts';
const plan = 'src/core/plan.ts';
const plugins = 'src/run/plugins.ts';
const readers = 'src/serve/readers.ts';
const sight = 'src/core/sight.ts';
const situation = 'src/core/situation.ts';
const steer = 'src/core/steer.ts';
const watch = 'src/core/watch.ts';
const watched = 'src/core/watched.ts';
const burst = 'src/core/burst.ts';
const ended = 'src/core/ended.ts';
const asks = 'src/core/asks.ts';
const zone = 'src/core/zone.ts';
const rate = 'src/core/rate.ts';

const coordinator = 'src/cluster/etcd.ts';
const groupLedger = 'src/cluster/ledger.ts';
const mirror = 'src/cluster/mirror.ts';
const restore = 'src/cluster/restore.ts';
const sealed = 'src/cluster/sealed.ts';
const overEtcd = 'cluster/etcd.test.ts';
const session = 'src/cluster/session.ts';
const line = 'src/cluster/line.ts';
const eyes = 'src/cluster/eyes.ts';
const letter = 'src/cluster/letter.ts';
const door = 'src/cluster/door.ts';
const agreeing = 'src/core/agree.ts';
const heard = 'src/core/heard.ts';
const tell = 'src/core/tell.ts';
const follow = 'src/core/follow.ts';
const ledgerFile = 'src/core/ledger.ts';
const notices = 'src/core/notices.ts';
const kubeDocuments = 'src/cluster/kube-documents.ts';
const kubeOffice = 'src/cluster/kube-office.ts';
const kubeLease = 'src/cluster/kube-lease.ts';
const kubernetes = 'src/cluster/kubernetes.ts';
const approve = 'src/core/approve.ts';
const hook = 'src/core/hook.ts';
const drill = 'src/core/drill.ts';
const turns = 'src/core/turns.ts';
const viewing = 'src/core/view.ts';
const channel = 'src/notify/channel.ts';
const first = 'src/config/first.ts';
const initing = 'src/run/init.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'what stands is replaced by an empty value',
    rule: 1,
    by: '01-outage',
    edits: [
      {
        file: plan,
        find: `    cname: wanted.cname,
    ttl: keep`,
        replace: `    cname: stands === undefined ? wanted.cname : '',
    ttl: keep`,
      },
    ],
  },
  {
    name: 'what was emptied before a switch stays held after it',
    rule: 16,
    by: '127-emptied',
    edits: [
      {
        file: plan,
        find: `if (!isPlaced(wanted)) return write('nothing stands there');`,
        replace: `if (wanted.placed === null) return write('nothing stands there');`,
      },
    ],
  },
  {
    name: 'a vendor that refuses a short TTL is not switched either',
    rule: 7,
    by: '182-prepare-floors',
    edits: [
      {
        file: cell,
        find: `if (!isRefused || to.ttl >= cell.ttl || cell.keepsTtl) return false;`,
        replace: `if (!isRefused || to.ttl >= 0 || cell.keepsTtl) return false;`,
      },
    ],
  },
  {
    name: 'what is prepared is called ready while caches hold the old TTL',
    rule: 29,
    by: '181-prepare',
    edits: [
      {
        file: 'src/core/ttl.ts',
        find: 'at + (ttl < from ? from * 1000 : 0);',
        replace: 'at + (ttl < from ? 0 : 0);',
      },
    ],
  },
  {
    name: 'what comes home from a drill bears the short TTL',
    rule: 0,
    by: '184-drill-ttl',
    edits: [
      {
        file: 'src/core/ttl.ts',
        find: `return stage === 'going' || stage === 'away' || stage === 'ending' ? ttl : null;`,
        replace: `return stage === 'confirming' ? null : ttl;`,
      },
    ],
  },
  {
    name: 'a TTL that somebody edited is not noticed',
    rule: 27,
    by: '128-ttl-edited',
    edits: [
      {
        file: lane,
        find: `cell.visibleAt !== null && isRetimed(state, r, cell, answers)`,
        replace: `cell.visibleAt === null && isRetimed(state, r, cell, answers)`,
      },
    ],
  },
  {
    name: 'a vendor that plays with its TTLs is asked for ever',
    rule: 22,
    by: '128-ttl-edited',
    edits: [
      {
        file: cell,
        find: ` && was.vain < TTL_DOUBTS_MAX`,
        replace: ``,
      },
    ],
  },
  {
    name: 'a recovery uses up what the next decision needs',
    rule: 31,
    by: 'core/rate.test.ts',
    edits: [
      {
        file: rate,
        find: `waitForExtraMs(rate, RECOVERY_LEAVES, now)`,
        replace: `waitForExtraMs(rate, 0, now)`,
      },
    ],
  },
  {
    name: 'a tool is forgotten with the target that it sets',
    rule: 27,
    by: '136-a-tool-remembered',
    edits: [
      {
        file: edits,
        find: `filter(([, at]) => state.now - at < TOOL_MS)`,
        replace: `filter(([name]) => r.config.targets.some((t) => t.origin === name))`,
      },
    ],
  },
  {
    name: 'from observing to steering a freeze is forgotten',
    rule: 29,
    by: '137-frozen-while-observed',
    edits: [{ file: arrange, find: `, freeze: r.doc.freeze });`, replace: ` });` }],
  },
  {
    name: 'a retired target is written again',
    rule: 2,
    by: '31-retired',
    edits: [
      {
        file: cell,
        find: 'if (!r.config.targets.some((t) => t.cname === change.to.cname)) {',
        replace: 'if (r.config.targets.length === 0) {',
      },
    ],
  },
  {
    name: 'a retired target is left for another',
    rule: 2,
    by: '31-retired',
    edits: [
      {
        file: situation,
        find: 'retired: !configured,',
        replace: 'retired: false,',
      },
      {
        file: decide,
        find: 'const current = s.targets.find((t) => t.origin === s.current)!;',
        replace:
          "const current = s.targets.find((t) => t.origin === s.current) ?? { ...s.targets[0]!, origin: 'retired', health: 'down' as const };",
      },
    ],
  },
  {
    name: 'a reload may take away the target in force',
    rule: 2,
    by: 'controller.test.ts',
    edits: [
      {
        file: engine,
        find: 'if (has(next) || !has(r.config)',
        replace: 'if (has(next) || has(r.config)',
      },
    ],
  },
  {
    name: 'a drained target is chosen',
    rule: 3,
    by: '21-operator',
    edits: [
      {
        file: decide,
        find: "t !== current && t.health === 'up' && !t.drained);",
        replace: "t !== current && t.health === 'up');",
      },
    ],
  },
  {
    name: 'a target of unknown health is chosen',
    rule: 3,
    by: '43-fresh-pass',
    edits: [
      {
        file: decide,
        find: "t !== current && t.health === 'up' && !t.drained);",
        replace: "t !== current && t.health !== 'down' && !t.drained);",
      },
      {
        file: steer,
        find: 'hasFreshPasses(state, c.to, c.sinceAt)',
        replace: 'true',
      },
    ],
  },
  {
    name: 'the chain of the candidate is not waited for',
    rule: 3,
    by: '23-chain',
    edits: [
      {
        file: steer,
        find: "c.chain?.kind === 'answered' && has",
        replace: 'has',
      },
    ],
  },
  {
    name: 'an unanswered chain is good enough',
    rule: 3,
    by: '23-chain',
    edits: [
      {
        file: steer,
        find: "c.chain?.kind === 'answered' && has",
        replace: "c.chain != null && c.chain.kind !== 'broken' && has",
      },
      {
        file: steer,
        find: "if (answer.kind !== 'answered') {",
        replace: "if (answer.kind === 'broken') {",
      },
    ],
  },
  {
    name: 'no fresh pass is demanded',
    rule: 3,
    by: '43-fresh-pass',
    edits: [
      {
        file: steer,
        find: ' && hasFreshPasses(state, c.to, c.sinceAt)',
        replace: '',
      },
    ],
  },
  {
    name: 'passes begun before the decision count as fresh',
    rule: 3,
    by: '43-fresh-pass',
    edits: [
      {
        file: watch,
        find: 'cs.missed === 0 && cs.passBeganAt >= freshFrom(state, cs, sinceAt)',
        replace: 'cs.missed === 0 && cs.passBeganAt >= freshFrom(state, cs, sinceAt - 5000)',
      },
    ],
  },
  {
    name: 'one fresh pass by one path is a quorum',
    rule: 3,
    by: '43-fresh-pass',
    edits: [
      {
        file: watch,
        find: "own.every((j) => quorum(votes(j.groups, fresh), rule) === 'up')",
        replace: "own.every((j) => votes(j.groups, fresh).includes('up'))",
      },
    ],
  },
  {
    name: 'a sibling in a failing cloud is preferred',
    rule: 3,
    by: '44-failing-cloud',
    edits: [
      {
        file: decide,
        find: 'doomedSinceAt !== null ? 3 : trustedAt > s.now ? 2 :',
        replace: 'trustedAt > s.now ? 2 :',
      },
    ],
  },
  {
    name: 'a sibling in a failing cloud is taken without patience',
    rule: 3,
    by: '44-failing-cloud',
    edits: [
      {
        file: decide,
        find: 'return Math.max(t.sinceAt, t.doomedSinceAt ?? 0) + s.patienceMs;',
        replace: 'return Math.max(t.sinceAt, t.doomedSinceAt ?? 0);',
      },
    ],
  },
  {
    name: 'disagreement is adopted',
    rule: 4,
    by: '82-done-by-hand',
    edits: [
      {
        file: plan,
        find: '    if (at.length < majority) continue;',
        replace: '    if (at.length === 0) continue;',
      },
    ],
  },
  {
    name: 'a line that is not listed is overwritten',
    rule: 4,
    by: 'core/lines.test.ts',
    edits: [
      {
        file: lines,
        find: 'lines?.includes(line) === true ?',
        replace: 'lines !== null ?',
      },
    ],
  },
  {
    name: 'a set of which one line leads elsewhere is in step',
    rule: 16,
    by: 'core/lines.test.ts',
    edits: [
      {
        file: lines,
        find: 'parts.every((p) => p.value === parts[0]!.value)',
        replace: 'parts.length > 0',
      },
    ],
  },
  {
    name: 'a line on which nothing stands is left without an answer of its own',
    rule: 16,
    by: 'core/lines.test.ts',
    edits: [
      {
        file: plan,
        find: 'if (open !== undefined) return remark(',
        replace: 'if (open === null) return remark(',
      },
    ],
  },
  {
    name: 'what stands on lines that cannot be seen from here is never looked at again',
    rule: 27,
    by: 'core/lines.test.ts',
    edits: [
      {
        file: cell,
        find: 'return cell.lines !== undefined && state.now - cell.answeredAt >= LINES_READ_MS;',
        replace: 'return cell.lines === null && state.now - cell.answeredAt >= LINES_READ_MS;',
      },
    ],
  },
  {
    name: 'a line that is listed later is left to the next switch',
    rule: 19,
    by: 'core/lines.test.ts',
    edits: [
      {
        file: arrange,
        find: 'if (!isSameLines(cell.lines, lines)) relined(state, r, cell, lines);',
        replace: 'if (!isSameLines(cell.lines, lines)) cell.lines = lines;',
      },
    ],
  },
  {
    name: 'the answer of a server that heeds no line proves one',
    rule: 29,
    by: 'core/lines.test.ts',
    edits: [
      {
        file: lines,
        find: 'answers.filter((a) => a.heeds)',
        replace: 'answers.filter((a) => a.line !== null)',
      },
    ],
  },
  {
    name: 'the marker is written before the last line',
    rule: 14,
    by: 'providers/alidns.test.ts',
    edits: [
      {
        file: alidnsChange,
        find: 'for (const line of linesOf(to)) {',
        replace: 'for (const line of linesOf(to).slice(0, -1)) {',
      },
    ],
  },
  {
    name: 'a claim whose marker waits for a crowd is taken for a dead writer’s',
    rule: 14,
    by: 'providers/alidns.test.ts',
    edits: [
      {
        file: 'providers/kit/claim.ts',
        find: 'theirs > ours ? overtakenMs : abandonedMs',
        replace: 'abandonedMs',
      },
    ],
  },
  {
    name: 'a claim under which a CNAME was changed is taken back',
    rule: 14,
    by: 'providers/alidns.test.ts',
    edits: [
      {
        file: alidns,
        find: 'const isUsed = isSettling(change) || this.#used.has(keyOf(change, mine));',
        replace: 'const isUsed = this.#used.has(keyOf(change, mine)) && !isSettling(change);',
      },
    ],
  },
  {
    name: 'a claim under which a CNAME was changed is taken back by the next move',
    rule: 14,
    by: 'providers/alidns.test.ts',
    edits: [
      {
        file: alidns,
        find: 'isSettling(change) || this.#used.has(keyOf(change, mine));',
        replace: 'isSettling(change);',
      },
    ],
  },
  {
    name: 'DNSPod: a claim under which a CNAME was changed is taken back by the next move',
    rule: 14,
    by: 'providers/dnspod.test.ts',
    edits: [
      {
        file: 'providers/dnspod.ts',
        find: 'const isUnused = isNew && placed.length === 0 && !isSettling(wanted);',
        replace: 'const isUnused = !isSettling(wanted);',
      },
    ],
  },
  {
    name: 'who has written a marker takes away what the next switch has claimed of it',
    rule: 14,
    by: 'providers/dnspod.test.ts',
    edits: [
      {
        file: 'providers/kit/claim.ts',
        find: '(epochIn(remark) ?? mine.epoch) < mine.epoch',
        replace: 'epochIn(remark) !== null',
      },
    ],
  },
  {
    name: 'a marker that waits for a crowd is never written',
    rule: 16,
    by: 'core/lane.test.ts',
    edits: [
      {
        file: cell,
        find: 'askSoon(state, cell);\n  converge(state, r, cell, false);\n}\n\n/** Whether a change is',
        replace: 'askSoon(state, cell);\n}\n\n/** Whether a change is',
      },
    ],
  },
  {
    name: 'a record is made without its marker in a crowd',
    rule: 4,
    by: 'providers/alidns.test.ts',
    edits: [
      {
        file: 'providers/kit/guarded.ts',
        find: "return settle === 'later' && isThere;",
        replace: "return settle === 'later';",
      },
    ],
  },
  {
    name: 'a line is changed without its own name, which makes it the default one',
    rule: 14,
    by: 'providers/alidns.test.ts',
    edits: [
      {
        file: alidnsChange,
        find: 'TTL: to.ttl, Line: line }',
        replace: 'TTL: to.ttl }',
      },
    ],
  },
  {
    name: "an unmarked stranger's value is overwritten",
    rule: 4,
    by: '41-claims',
    edits: [
      {
        file: plan,
        find: "wanted.claim === 'configured' && isEach(isOfOurs)",
        replace: "wanted.claim === 'configured'",
      },
    ],
  },
  {
    name: 'an unmarked value that nobody claimed is overwritten',
    rule: 4,
    by: '41-claims',
    edits: [
      {
        file: plan,
        find: "if (wanted.claim === 'any' ||",
        replace: "if (wanted.claim !== 'any' ||",
      },
    ],
  },
  {
    name: 'a claim outlives the adoption',
    rule: 4,
    by: '41-claims',
    edits: [
      {
        file: cell,
        find: 'if (Object.hasOwn(r.doc.claims, cell.provider)) {',
        replace: 'if (cell.provider in r.doc.claims && r.doc.epochMax > 99) {',
      },
    ],
  },
  {
    name: "another cluster's record is overwritten",
    rule: 4,
    by: '08-foreign',
    edits: [
      {
        file: plan,
        find: '  if (marker.cluster !== known.cluster) {',
        replace: "  if (marker.cluster === '') {",
      },
    ],
  },
  {
    name: 'a text that is no marker is overwritten',
    rule: 4,
    by: '42-text',
    edits: [
      {
        file: plan,
        find: 'if (text !== undefined) {',
        replace: 'if (text !== undefined && parseMarker(text) !== null) {',
      },
    ],
  },
  {
    name: 'a refused record is written',
    rule: 4,
    by: '08-foreign',
    edits: [
      {
        file: plan,
        find: `  if (seen.refusal !== null) return { kind: 'refused', ...seen.refusal };
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a record that stands nowhere is created unasked',
    rule: 4,
    by: '09-missing',
    edits: [
      {
        file: operate,
        find: "a.kind === 'wait' && a.reason === 'missing' && !c.create",
        replace: "a.kind === 'wait' && a.reason === 'missing' && c.create",
      },
    ],
  },
  {
    name: 'unknown is taken for down',
    rule: 5,
    by: '24-paths',
    edits: [
      {
        file: decide,
        find: `  if (current.health === 'unknown') {
    return stay('target-unknown'`,
        replace: `  if (current.health === 'unknown' && s.blind) {
    return stay('target-unknown'`,
      },
    ],
  },
  {
    name: 'with everything down it moves all the same',
    rule: 5,
    by: '21-operator',
    edits: [
      {
        file: decide,
        find: "t !== current && t.health === 'up' && !t.drained);",
        replace: 't !== current && !t.drained);',
      },
      {
        file: steer,
        find: ' && hasFreshPasses(state, c.to, c.sinceAt)',
        replace: '',
      },
    ],
  },
  {
    name: 'silence is taken for down',
    rule: 5,
    by: '04-all-down',
    edits: [
      {
        file: detect,
        find: "return state.verdict !== 'unknown' && settle(state, 'unknown', now);",
        replace: "return state.verdict !== 'down' && settle(state, 'down', now);",
      },
    ],
  },
  {
    name: 'a verdict outlives its observations',
    rule: 5,
    by: '25-pause',
    edits: [
      {
        file: detect,
        find: 'if (silentMs <= 3 * intervalMs + timeoutMs) return false;',
        replace: 'if (silentMs <= 1000 * (3 * intervalMs + timeoutMs)) return false;',
      },
    ],
  },
  {
    name: 'a blind probe counts as a failure',
    rule: 6,
    by: '04-all-down',
    edits: [
      {
        file: detect,
        find: `  if (o.outcome === 'blind') return false;
`,
        replace: '',
      },
      {
        file: watch,
        find: "if (o.outcome === 'fail' && config.role !== 'reference') {",
        replace: "if (o.outcome !== 'pass' && config.role !== 'reference') {",
      },
    ],
  },
  {
    name: 'one path condemns an origin alone',
    rule: 6,
    by: '24-paths',
    edits: [
      {
        file: detect,
        find: 'return Math.max(Math.floor(sighted / 2) + 1, least);',
        replace: 'return 1;',
      },
    ],
  },
  {
    name: 'a probe that waited too long for its turn speaks against the origin',
    rule: 6,
    by: 'probes/tcp.test.ts',
    edits: [
      {
        file: 'src/probes/index.ts',
        find: "this.#giveUp(blind('shed', detail));",
        replace: "this.#giveUp({ outcome: 'fail', reason: 'shed', detail });",
      },
    ],
  },
  {
    name: 'half of the groups is a majority',
    rule: 6,
    by: '46-groups',
    edits: [
      {
        file: detect,
        find: 'Math.floor(sighted / 2) + 1',
        replace: 'Math.ceil(sighted / 2)',
      },
    ],
  },
  {
    name: 'with one group sighted of three it decides alone',
    rule: 6,
    by: '24-paths',
    edits: [
      {
        file: detect,
        find: 'const least = Math.max(1, Math.min(2, configured));',
        replace: 'const least = 1;',
      },
    ],
  },
  {
    name: 'paths that share a failure domain vote singly',
    rule: 6,
    by: '46-groups',
    edits: [
      {
        file: watched,
        find: 'const { group } = voter.way;',
        replace: 'const group = voter.way.name;',
      },
    ],
  },
  {
    name: 'in a group one failing path speaks for all',
    rule: 6,
    by: '46-groups',
    edits: [
      {
        file: detect,
        find: "if (verdicts.includes('up')) return 'up';",
        replace: "if (verdicts.includes('up') && !verdicts.includes('down')) return 'up';",
      },
    ],
  },
  {
    name: 'a path votes on the cloud it sits in',
    rule: 6,
    by: '47-path-in-a-cloud',
    edits: [
      {
        file: watched,
        find: `    if (voter.way.cloud !== null && voter.way.cloud === check.cloud) continue;
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a suspect path votes',
    rule: 6,
    by: '48-suspect-path',
    edits: [
      {
        file: judge,
        find: `return !suspect && !blind && (replica`,
        replace: `return !blind && (replica`,
      },
    ],
  },
  {
    name: 'failures seen while blind count',
    rule: 6,
    by: '45-edges-of-blindness',
    edits: [
      {
        file: watch,
        find: "    else if (light === 'clear') touched",
        replace: '    else touched',
      },
      {
        file: watch,
        find: 'const isVoid = way.blind || o',
        replace: 'const isVoid = o',
      },
    ],
  },
  {
    name: 'a failure is believed before a reference point has answered',
    rule: 6,
    by: '04-all-down',
    edits: [
      {
        file: watch,
        find: `if (light === 'waiting') cs.unvouched.push(o);
    else if (light === 'clear') touched`,
        replace: "if (light !== 'dark') touched",
      },
    ],
  },
  {
    name: 'what failed before a cut of our own counts',
    rule: 6,
    by: '04-all-down',
    edits: [
      {
        file: sight,
        find: "return passed[after] ? 'clear' : 'dark';",
        replace: "return 'clear';",
      },
    ],
  },
  {
    name: 'what hung through a cut of our own counts',
    rule: 6,
    by: '04-all-down',
    edits: [
      {
        file: sight,
        find: "if (before < 0 || !passed[before]) return 'dark';",
        replace: "if (before < 0) return 'dark';",
      },
      {
        file: watch,
        find: 'way.blind || o.startedAt < cs.forgotAt;',
        replace: 'way.blind;',
      },
    ],
  },
  {
    name: 'a path that is blind votes',
    rule: 6,
    by: '45-edges-of-blindness',
    edits: [
      {
        file: judge,
        find: `return !suspect && !blind && (replica`,
        replace: `return !suspect && (replica`,
      },
      {
        file: watch,
        find: `    forget(cs, state.now);
    if (state.eyes !== null) isNews(state.eyes, cs, state.now);
  }
  suspectAnew`,
        replace: `    if (state.eyes !== null) isNews(state.eyes, cs, state.now);
  }
  suspectAnew`,
      },
    ],
  },
  {
    name: 'an advisory check moves traffic',
    rule: 6,
    by: '49-needs',
    edits: [
      {
        file: judge,
        find: 'if (config.advisory) return [];',
        replace: '',
      },
      {
        file: watched,
        find: 'checks.map(judged).filter(({ config }) => !config.advisory)',
        replace: 'checks.map(judged)',
      },
    ],
  },
  {
    name: 'a failure across our own stall is a vote',
    rule: 6,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: "result.outcome !== 'fail' || !straddles",
        replace: "result.outcome !== 'fail' || straddles !== null",
      },
    ],
  },
  {
    name: "one lane's fault blocks all lanes",
    rule: 7,
    by: '56-later-switch',
    edits: [
      {
        file: lane,
        find: `  setDeadline(state.timers, lane.deadline, lane.retryAt);
}

function laneWorks`,
        replace: `  for (const other of state.lanes.values()) {
    other.retryAt = lane.retryAt;
    other.urgentAt = lane.urgentAt;
  }
  setDeadline(state.timers, lane.deadline, lane.retryAt);
}

function laneWorks`,
      },
    ],
  },
  {
    name: 'deciding waits for a provider that cannot be read',
    rule: 7,
    by: '28-unreadable',
    edits: [
      {
        file: situation,
        find: "if (cell.reading === 'pending') reading = true;",
        replace: "if (cell.reading !== 'read') reading = true;",
      },
    ],
  },
  {
    name: 'the end of a switch waits for a vendor that hangs',
    rule: 7,
    by: '14-stuck-vendor',
    edits: [
      {
        file: steer,
        find: 'if (!late && behind.some((c) => !isOut(c))) return;',
        replace: 'if (behind.some((c) => !isOut(c))) return;',
      },
    ],
  },
  {
    name: 'the time to settle at a start is forgotten',
    rule: 8,
    by: '05-start',
    edits: [
      {
        file: situation,
        find: 'settlesAt: settlesAt > state.now ? settlesAt : null,',
        replace: 'settlesAt: null,',
      },
    ],
  },
  {
    name: 'the time to settle ends one failure early',
    rule: 8,
    by: '50-settling',
    edits: [
      {
        file: watch,
        find: 'c.fall * (c.intervalMs * slow + c.timeoutMs)',
        replace: '(c.fall - 1) * (c.intervalMs * slow + c.timeoutMs)',
      },
    ],
  },
  {
    name: 'the end of blindness is not given time to settle',
    rule: 8,
    by: '04-all-down',
    edits: [
      {
        file: judge,
        find: `    if (dawns && origin.health === 'unknown') origin.settleFromAt = state.now;
`,
        replace: ``,
      },
    ],
  },
  {
    name: 'fall is counted one too low',
    rule: 8,
    by: '01-outage',
    edits: [
      {
        file: detect,
        find: 'state.fails >= config.fall &&',
        replace: 'state.fails >= config.fall - 1 &&',
      },
    ],
  },
  {
    name: 'fall is counted one too high',
    rule: 8,
    by: '01-outage',
    edits: [
      {
        file: detect,
        find: 'state.fails >= config.fall &&',
        replace: 'state.fails > config.fall &&',
      },
    ],
  },
  {
    name: 'rise is counted one too low',
    rule: 8,
    by: '01-outage',
    edits: [
      {
        file: detect,
        find: 'state.passes >= config.rise &&',
        replace: 'state.passes >= config.rise - 1 &&',
      },
    ],
  },
  {
    name: 'a pass does not end a run of failures',
    rule: 8,
    by: '03-patience',
    edits: [
      {
        file: detect,
        find: `    state.fails = 0;
    state.passes++;`,
        replace: '    state.passes++;',
      },
    ],
  },
  {
    name: 'the dawn after darkness is ignored',
    rule: 8,
    by: '05-start',
    edits: [
      {
        file: decide,
        find: 'if (s.now < s.dawnUntilAt) {',
        replace: 'if (s.now < s.dawnUntilAt - 86_400_000) {',
      },
    ],
  },
  {
    name: 'after a pause nothing is looked at anew',
    rule: 8,
    by: '25-pause',
    edits: [
      {
        file: engine,
        find: `  forgetAll(state, out);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'what the API does not say is never asked of DNS',
    rule: 8,
    by: '57-epoch-by-dns',
    edits: [
      {
        file: cell,
        find: `    cell.fallback = true;
    askSoon(state, cell);`,
        replace: "    cell.reading = 'unreadable';",
      },
    ],
  },
  {
    name: 'an epoch that only DNS shows is not believed',
    rule: 8,
    by: '57-epoch-by-dns',
    edits: [
      {
        file: cell,
        find: '  if (ahead !== null && marker !== null && compareMarkers(ahead, marker) > 0) {',
        replace: '  if (ahead !== null && marker === null) {',
      },
    ],
  },
  {
    name: 'patience is not waited out',
    rule: 8,
    by: '03-patience',
    edits: [
      {
        file: decide,
        find: 'if (s.now < patientUntil) {',
        replace: 'if (s.now > patientUntil + 86_400_000) {',
      },
    ],
  },
  {
    name: 'patience knows no history',
    rule: 3,
    by: '181-usual-absences',
    edits: [
      {
        file: 'src/core/patience.ts',
        find: 'if (waitMs === patienceMs) return plain;',
        replace: 'if (waitMs >= patienceMs) return plain;',
      },
    ],
  },
  {
    name: 'a cloud that fails explains its own failures',
    rule: 6,
    by: 'core/detect.test.ts',
    edits: [{ file: sight, find: 'if (lot === own) continue;', replace: '' }],
  },
  {
    name: 'an outage of another cloud explains every failure',
    rule: 6,
    by: 'core/detect.test.ts',
    edits: [
      {
        file: sight,
        find: 'const most = clouds > 1 ?',
        replace: 'const most = clouds > 9 ?',
      },
    ],
  },
  {
    name: 'what was needless may be had again and again',
    rule: 10,
    by: '182-needless',
    edits: [
      {
        file: decide,
        find: 'const wasted = Math.min(s.needless, s.switchesPerHour);',
        replace: 'const wasted = s.switches.length;',
      },
    ],
  },
  {
    name: 'patience is cleared by unknown',
    rule: 8,
    by: '03-patience',
    edits: [
      {
        file: judge,
        find: "if (health === 'up') [origin.downSinceAt, origin.failingSinceAt] = [null, null];",
        replace:
          "if (health !== 'down') [origin.downSinceAt, origin.failingSinceAt] = [null, null];",
      },
    ],
  },
  {
    name: 'a pin is ignored',
    rule: 9,
    by: '10-switch-and-pin',
    edits: [
      {
        file: decide,
        find: `  if (s.pin !== null) return stay('pinned', \`pinned to \${s.pin.target}: \${s.pin.reason}\`);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'the end of a pin moves',
    rule: 9,
    by: '51-pin-and-failback',
    edits: [
      {
        file: steer,
        find: 'amend(out, r, { pin: null, quietSinceAt: state.now });',
        replace: 'amend(out, r, { pin: null });',
      },
    ],
  },
  {
    name: 'a pin never ends',
    rule: 9,
    by: '51-pin-and-failback',
    edits: [
      {
        file: steer,
        find: 'if (until === null || until > state.now) return;',
        replace: 'return;',
      },
    ],
  },
  {
    name: 'a pin ends at the next look',
    rule: 9,
    by: '10-switch-and-pin',
    edits: [
      {
        file: steer,
        find: 'if (until === null || until > state.now) return;',
        replace: 'if (until === null) return;',
      },
    ],
  },
  {
    name: 'a pinned target that is down alerts nobody',
    rule: 9,
    by: '10-switch-and-pin',
    edits: [
      {
        file: steer,
        find: "const worry = pinned ? 'pinned-down' : wants",
        replace: 'const worry = wants',
      },
    ],
  },
  {
    name: 'a switch to a target that is down needs no force',
    rule: 9,
    by: '10-switch-and-pin',
    edits: [
      {
        file: operate,
        find: "if (health !== 'up' && !c.force) {",
        replace: "if (health !== 'up' && c.force) {",
      },
    ],
  },
  {
    name: "an operator's pin found in a marker is dropped",
    rule: 9,
    by: '17-epochs',
    edits: [
      {
        file: adopt,
        find: `    pin: m.pinned
`,
        replace: `    pin: m.pinned && m.epoch === 0
`,
      },
    ],
  },
  {
    name: 'a pin is forgotten by a restart',
    rule: 9,
    by: '52-restart',
    edits: [
      {
        file: arrange,
        find: 'doc: { ...newDoc(), epochMax: state.released.get(config.name) ?? 0, ...stored },',
        replace:
          'doc: { ...newDoc(), epochMax: state.released.get(config.name) ?? 0, ...stored, pin: null },',
      },
    ],
  },
  {
    name: 'the budget is not counted',
    rule: 10,
    by: '11-budget',
    edits: [
      {
        file: switching,
        find: 'switches: m.spends ? [...recent, state.now] : recent,',
        replace: 'switches: recent,',
      },
    ],
  },
  {
    name: 'the budget is one switch larger',
    rule: 10,
    by: '11-budget',
    edits: [
      {
        file: decide,
        find: 'if (s.switches.length < s.switchesPerHour) {',
        replace: 'if (s.switches.length <= s.switchesPerHour) {',
      },
    ],
  },
  {
    name: 'the budget is forgotten by a restart',
    rule: 10,
    by: '52-restart',
    edits: [
      {
        file: arrange,
        find: 'doc: { ...newDoc(), epochMax: state.released.get(config.name) ?? 0, ...stored },',
        replace:
          'doc: { ...newDoc(), epochMax: state.released.get(config.name) ?? 0, ...stored, switches: [] },',
      },
    ],
  },
  {
    name: 'the budget never fills again',
    rule: 10,
    by: '13-failback-budget',
    edits: [
      {
        file: decide,
        find: 'switches.filter((at) => now - at < HOUR_MS)',
        replace: 'switches',
      },
    ],
  },
  {
    name: 'a failback takes the last switch',
    rule: 10,
    by: '13-failback-budget',
    edits: [
      {
        file: decide,
        find: 'if (s.switches.length >= s.switchesPerHour - 1) {',
        replace: 'if (s.switches.length >= s.switchesPerHour) {',
      },
    ],
  },
  {
    name: 'the exception of the spent budget has no pause',
    rule: 10,
    by: '11-budget',
    edits: [
      {
        file: decide,
        find: 's.overspentAt === null ? s.now : s.overspentAt + OVERSPEND_EVERY_MS',
        replace: 's.now',
      },
    ],
  },
  {
    name: 'the exception takes a target that has just come up',
    rule: 10,
    by: '11-budget',
    edits: [
      {
        file: decide,
        find: 's.now - t.sinceAt >= OVERSPEND_UP_MS',
        replace: 's.now - t.sinceAt >= 0',
      },
    ],
  },
  {
    name: 'an ack does not fill the budget',
    rule: 10,
    by: '11-budget',
    edits: [
      {
        file: operate,
        find: 'amend(out, r, { switches: [], needless: [], overspentAt: null, deposed: null });',
        replace: 'amend(out, r, { deposed: null });',
      },
    ],
  },
  {
    name: 'failback is automatic though manual',
    rule: 11,
    by: '11-budget',
    edits: [
      {
        file: decide,
        find: "if (s.failback.kind === 'manual') {",
        replace: "if (s.failback.kind === 'manual' && s.now < 0) {",
      },
    ],
  },
  {
    name: 'failback counts a broken up',
    rule: 11,
    by: '12-failback',
    edits: [
      {
        file: decide,
        find: 'const dueAt = Math.max(best.sinceAt, s.quietSinceAt) + s.failback.ms;',
        replace: 'const dueAt = s.quietSinceAt + s.failback.ms;',
      },
    ],
  },
  {
    name: 'failback does not wait for the lanes',
    rule: 11,
    by: '53-failback-lanes',
    edits: [
      {
        file: decide,
        find: 'if (s.now < dueAt || !s.lanesInStep) {',
        replace: 'if (s.now < dueAt) {',
      },
    ],
  },
  {
    name: 'failback goes to a target that flaps',
    rule: 11,
    by: '59-flapping',
    edits: [
      {
        file: decide,
        find: 'fit(t) && t.doomedSinceAt === null && t.trustedAt <= s.now',
        replace: 'fit(t) && t.doomedSinceAt === null',
      },
    ],
  },
  {
    name: 'time goes back',
    rule: 12,
    by: 'core/properties.test.ts',
    edits: [
      {
        file: engine,
        find: 'state.now = Math.max(state.now, now);',
        replace: 'state.now = now;',
      },
    ],
  },
  {
    name: 'a clock behind the journal is believed',
    rule: 12,
    by: 'core/properties.test.ts',
    edits: [
      {
        file: clock,
        find: 'const base = Math.max(lastAt, Date.now());',
        replace: 'const base = Date.now() + 0 * lastAt;',
      },
    ],
  },
  {
    name: 'a switch that was not committed is not taken back',
    rule: 13,
    by: '54-store-at-the-switch',
    edits: [
      {
        file: engine,
        find: 'for (const name of state.tentative) takeBack(state, name);',
        replace: '',
      },
    ],
  },
  {
    name: 'without a store it decides all the same',
    rule: 13,
    by: '20-store',
    edits: [
      {
        file: decide,
        find: `  if (!s.storeOk) return stay('store-failed', 'the store cannot commit: no automatic switch');
`,
        replace: '',
      },
    ],
  },
  {
    name: 'what happened without a store is never stored',
    rule: 13,
    by: '54-store-at-the-switch',
    edits: [
      {
        file: engine,
        find: '    else keep(out, r);\n',
        replace: '',
      },
    ],
  },
  {
    name: 'an operator is let through without a store',
    rule: 13,
    by: '20-store',
    edits: [
      {
        file: operate,
        find: `  if (!state.storeOk) return refused('the store cannot commit: use \`detour switch --direct\`');
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a reply says done although nothing was committed',
    rule: 13,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: 'holds ? effect.reply : notCommitted(effect.reply)',
        replace: 'effect.reply',
      },
    ],
  },
  {
    name: 'a store that failed is never tried again',
    rule: 13,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: `      this.#step({ kind: 'store', ok: false });
      this.#later(STORE_RETRY_MS, () => this.#retryStore());
`,
        replace: `      this.#step({ kind: 'store', ok: false });
`,
      },
    ],
  },
  {
    name: 'a commit that throws is taken for done',
    rule: 13,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: `      this.#trouble('store', messageOf(error));
      return false;`,
        replace: `      this.#trouble('store', messageOf(error));
      return true;`,
      },
    ],
  },
  {
    name: 'effects are performed before the commit',
    rule: 13,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: `    const committed = this.#commit(round);
`,
        replace: `    for (const { out } of round) {
      for (const effect of out.effects.splice(0)) this.#perform(effect, true);
    }
    const committed = this.#commit(round);
`,
      },
    ],
  },
  {
    name: 'the fence is dropped',
    rule: 14,
    by: '17-epochs',
    edits: [
      {
        file: plan,
        find: '  const order = compareMarkers(by.marker, wanted.marker);',
        replace: '  const order = Math.min(0, compareMarkers(by.marker, wanted.marker));',
      },
    ],
  },
  {
    name: 'a higher epoch is written over',
    rule: 14,
    by: '17-epochs',
    edits: [
      {
        file: plan,
        find: "    if (by.whose === 'genuine') return { kind: 'ahead', by };",
        replace:
          "    if (by.whose === 'genuine') return remark(record, seen, wanted, 'it is ahead');",
      },
    ],
  },
  {
    name: 'lag is not rewritten',
    rule: 14,
    by: '17-epochs',
    edits: [
      {
        file: plan,
        find: `    const because = \`epoch \${epoch} is behind\`;
`,
        replace: `    const because = \`epoch \${epoch} is behind\`;
    if (epoch > 0) return { kind: 'in-step' };
`,
      },
    ],
  },
  {
    name: 'at the same epoch the automatic switch wins',
    rule: 14,
    by: '18-same-epoch',
    edits: [
      {
        file: marker,
        find: '    kinds[a.kind] - kinds[b.kind] ||',
        replace: '    kinds[b.kind] - kinds[a.kind] ||',
      },
    ],
  },
  {
    name: 'two rivals of a kind overwrite each other',
    rule: 14,
    by: '18-same-epoch',
    edits: [
      {
        file: marker,
        find: `    byText(a.id, b.id) ||
    byText(a.target, b.target)`,
        replace: '    0 * byText(a.id, b.id)',
      },
    ],
  },
  {
    name: 'deposed, it still writes',
    rule: 14,
    by: '17-epochs',
    edits: [
      {
        file: cell,
        find: `  const isOurs = r.config.mode !== 'observe' && r.doc.deposed === null && r.differs === null;`,
        replace: `  const isOurs = r.config.mode !== 'observe' && r.differs === null;`,
      },
      {
        file: plan,
        find: `    if (by.whose === 'genuine') return { kind: 'ahead', by };
`,
        replace: '',
      },
    ],
  },
  {
    name: 'deposed, it still decides',
    rule: 14,
    by: '17-epochs',
    edits: [
      {
        file: decide,
        find: `  if (s.deposed) return stay('deposed', 'somebody else wrote a higher epoch: run \`detour ack\`');
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a higher automatic epoch is followed, not obeyed',
    rule: 14,
    by: '17-epochs',
    edits: [
      {
        file: adopt,
        find: "  const isFollowed = marker.kind === 'operator' || ofGroup || isLate;",
        replace: '  const isFollowed = marker.kind !== null || ofGroup || isLate;',
      },
    ],
  },
  {
    name: "an operator's switch has no epoch of its own",
    rule: 14,
    by: '10-switch-and-pin',
    edits: [
      {
        file: switching,
        find: '  const epoch = nextEpoch(r.doc.epochMax);',
        replace: "  const epoch = nextEpoch(r.doc.epochMax - (m.kind === 'operator' ? 1 : 0));",
      },
    ],
  },
  {
    name: 'an epoch is used again after a restart',
    rule: 14,
    by: '55-epoch-after-restart',
    edits: [
      {
        file: arrange,
        find: 'doc: { ...newDoc(), epochMax: state.released.get(config.name) ?? 0, ...stored },',
        replace:
          'doc: { ...newDoc(), epochMax: state.released.get(config.name) ?? 0, ...stored, epochMax: 0 },',
      },
    ],
  },
  {
    name: 'a deposition is forgotten by a restart',
    rule: 14,
    by: '107-reject',
    edits: [
      {
        file: arrange,
        find: 'doc: { ...newDoc(), epochMax: state.released.get(config.name) ?? 0, ...stored },',
        replace:
          'doc: { ...newDoc(), epochMax: state.released.get(config.name) ?? 0, ...stored, deposed: null },',
      },
    ],
  },
  {
    name: 'who holds no lease decides',
    rule: 14,
    by: '30-lease',
    edits: [
      {
        file: decide,
        find: `  if (!s.leader) return stay('no-lease', 'another replica holds the lease');
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a lost reply is taken for a write',
    rule: 15,
    by: '40-lost-write',
    edits: [
      {
        file: lane,
        find: "if (answer.kind === 'answered') written(state, r, cell, change, out);",
        replace: `if (answer.kind === 'fault' && answer.fault.kind === 'uncertain') {
      written(state, r, cell, change, out);
    } else if (answer.kind === 'answered') written(state, r, cell, change, out);`,
      },
    ],
  },
  {
    name: 'a lost reply is written again without reading back',
    rule: 15,
    by: '40-lost-write',
    edits: [
      {
        file: lane,
        find: `      failed(state, r, cell, answer, out);
    }
  }`,
        replace: `      failed(state, r, cell, answer, out);
      if (answer.fault.kind === 'uncertain') {
        cell.work = 'write';
        cell.change = change;
      }
    }
  }`,
      },
    ],
  },
  {
    name: 'a lost reply is not read back at once',
    rule: 15,
    by: '40-lost-write',
    edits: [
      {
        file: pace,
        find: "if (fault.kind === 'uncertain' && one.failures === 1) waitMs = 0;",
        replace: '',
      },
    ],
  },
  {
    name: 'a switch never ends while a lane is behind',
    rule: 16,
    by: '14-stuck-vendor',
    edits: [
      {
        file: steer,
        find: 'if (!late && behind.some((c) => !isOut(c))) return;',
        replace: 'if (behind.length > 0) return;',
      },
    ],
  },
  {
    name: 'a lane that is behind is told to nobody',
    rule: 16,
    by: '14-stuck-vendor',
    edits: [
      {
        file: steer,
        find: "    raise(state, about, word, { kind: 'lagging'",
        replace: "    if (names.length > 99) raise(state, about, word, { kind: 'lagging'",
      },
    ],
  },
  {
    name: 'a lane gives up after the switch has ended',
    rule: 16,
    by: '14-stuck-vendor',
    edits: [
      {
        file: pace,
        find: '  one.urgentAt = Math.max(soonest, beganAt + urgentMs);',
        replace: `  one.urgentAt = Math.max(soonest, beganAt + urgentMs);
  if (one.failures > 20) one.urgentAt = Number.POSITIVE_INFINITY;
  if (one.failures > 20) one.retryAt = Number.POSITIVE_INFINITY;`,
      },
    ],
  },
  {
    name: 'a write that a later switch overtook counts for it',
    rule: 16,
    by: '56-later-switch',
    edits: [
      {
        file: cell,
        find: 'cell.wrote = isInStep(r, cell);',
        replace: 'cell.wrote = true;',
      },
    ],
  },
  {
    name: 'written is taken for visible',
    rule: 16,
    by: '01-outage',
    edits: [
      {
        file: cell,
        find: "    if (cell.wrote) progress(state, r, cell, 'written', '', out);",
        replace: `    if (cell.wrote) progress(state, r, cell, 'written', '', out);
    cell.visibleAt = state.now;`,
      },
    ],
  },
  {
    name: 'one server of two is taken for visible',
    rule: 16,
    by: '56-later-switch',
    edits: [
      {
        file: lane,
        find: 'cname !== null && cell.asked > 0 && cell.right === cell.asked',
        replace: 'cname !== null && cell.right > 0',
      },
    ],
  },
  {
    name: 'refused keys make it give up',
    rule: 17,
    by: '16-auth',
    edits: [
      {
        file: pace,
        find: "if (fault.kind === 'auth-suspect') waitMs = authRetryMs(state);",
        replace: "if (fault.kind === 'auth-suspect') waitMs = 86_400_000;",
      },
    ],
  },
  {
    name: 'refused keys are tried as fast as anything',
    rule: 17,
    by: '16-auth',
    edits: [
      {
        file: pace,
        find: `  if (fault.kind === 'auth-suspect') waitMs = authRetryMs(state);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'the state directory is not locked',
    rule: 18,
    by: 'store/store.test.ts',
    edits: [
      {
        file: lock,
        find: 'BEGIN EXCLUSIVE',
        replace: 'BEGIN DEFERRED',
      },
    ],
  },
  {
    name: 'a bad reload is put in force',
    rule: 19,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: 'if (problems.length > 0) return problems;',
        replace: 'if (problems.length > 99) return problems;',
      },
    ],
  },
  {
    name: 'drift is fought for ever',
    rule: 22,
    by: '32-mend',
    edits: [
      {
        file: edits,
        find: "  if (why === 'back' && count >= AT_ONCE) {",
        replace: "  if (why === 'back' && count >= 1000) {",
      },
    ],
  },
  {
    name: 'confirming has no budget',
    rule: 22,
    by: 'core/properties.test.ts',
    edits: [
      {
        file: watch,
        find: `waitMs === 0 && takeTokens(state.confirm, budget, state.now, 1, floor)`,
        replace: `waitMs === 0`,
      },
    ],
  },
  {
    name: "a vendor's own pause is not honoured",
    rule: 22,
    by: '58-throttled',
    edits: [
      {
        file: pace,
        find: 'return Math.min(fault.retryAfterMs ?? 0, ASKED_CAP_MS);',
        replace: 'return 0;',
      },
    ],
  },
  {
    name: 'an adapter that never answers is waited for',
    rule: 22,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: '    const first = await Promise.race([answer, deadline]);',
        replace: '    const first = await answer;',
      },
    ],
  },
  {
    name: 'at the end writes under way are not waited for',
    rule: 22,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: 'while (this.#writing > 0 && clock.now() < until) {',
        replace: 'while (this.#writing > 99 && clock.now() < until) {',
      },
    ],
  },
  {
    name: 'observing, it writes',
    rule: 0,
    by: '22-observe',
    edits: [
      {
        file: adopt,
        find: "const observed = r.config.mode === 'observe';",
        replace: 'const observed = false;',
      },
      {
        file: cell,
        find: `  const isOurs = r.config.mode !== 'observe' && r.doc.deposed`,
        replace: `  const isOurs = r.doc.deposed`,
      },
      {
        file: adopt,
        find: "  if (r.config.mode !== 'observe') startLanes",
        replace: '  startLanes',
      },
      {
        file: cell,
        find: `  if (r.config.mode !== 'observe') converge(state, r, cell, true);
}

// ---`,
        replace: `  converge(state, r, cell, true);
}

// ---`,
      },
    ],
  },
  {
    name: 'more is asked of name servers at once than can be heard',
    rule: 0,
    by: 'core/crowd.test.ts',
    edits: [{ file: asks, find: 'while (asks.under < ASKS_AT_ONCE) {', replace: 'while (true) {' }],
  },
  {
    name: 'the questions of all providers wait for each other',
    rule: 0,
    by: 'dns/verify.test.ts',
    edits: [
      {
        file: 'src/dns/verify.ts',
        find: 'const limit = this.#limitOf(place.provider);',
        replace: "const limit = this.#limitOf('');",
      },
    ],
  },
  {
    name: 'a zone that was slow to list once is read by name for ten minutes',
    rule: 0,
    by: 'providers/by-zone.test.ts',
    edits: [
      {
        file: 'providers/kit/listing.ts',
        find: 'const slowFirstMs = 10_000;',
        replace: 'const slowFirstMs = 600_000;',
      },
    ],
  },
  {
    name: 'zones that share a room are all listed in vain',
    rule: 0,
    by: 'providers/by-zone.test.ts',
    edits: [
      {
        file: 'providers/kit/listing.ts',
        find: 'let taken = this.#pages;',
        replace: 'let taken = 1;',
      },
    ],
  },
  {
    name: 'a zone that was listed is taken for as long as it ever was',
    rule: 0,
    by: 'providers/by-zone.test.ts',
    edits: [
      {
        file: 'providers/kit/listing.ts',
        find: 'this.#pages = Math.max(1, asked);',
        replace: '',
      },
    ],
  },
  {
    name: 'a name that was asked when the time was over is taken for silent',
    rule: 6,
    by: 'dns/lookup.test.ts',
    edits: [{ file: 'src/dns/recursive.ts', find: 'if (!isCut && !how', replace: 'if (!how' }],
  },
  {
    name: 'who waits for a long text is cut off',
    rule: 0,
    by: 'serve/serve.test.ts',
    edits: [
      {
        file: 'src/serve/bounded.ts',
        find: 'if (!seats.isWaiting(socket)) socket.destroy();',
        replace: 'socket.destroy();',
      },
    ],
  },
  {
    name: 'what an origin needs is ignored',
    rule: 0,
    by: '49-needs',
    edits: [
      {
        file: judge,
        find: '  return state.needing.get(config.id) ?? [];',
        replace: '  return [];',
      },
      {
        file: watched,
        find: 'origin.required = [...origin.own, ...needs.map(judged)];',
        replace: 'origin.required = origin.own;',
      },
    ],
  },
  {
    name: 'one reading is enough to believe an edit',
    rule: 0,
    by: '33-edit',
    edits: [
      {
        file: cell,
        find: 'state.now - cell.odd.at >= CONFIRM_EDIT_MS',
        replace: 'state.now >= cell.odd.at',
      },
    ],
  },
  {
    name: 'first markers are told apart by their id alone',
    rule: 14,
    by: '90-first-markers',
    edits: [
      {
        file: marker,
        find: `    byText(a.id, b.id) ||
    byText(a.target, b.target)`,
        replace: '    byText(a.id, b.id)',
      },
    ],
  },
  {
    name: 'a late write of our own is taken for a wish',
    rule: 14,
    by: '109-late-value',
    edits: [
      {
        file: cell,
        find: 'l != null && isAll(l.value) &&',
        replace: 'l != null && l.value === null &&',
      },
    ],
  },
  {
    name: 'a stale edit drags to a dead origin',
    rule: 27,
    by: '33-edit',
    edits: [
      {
        file: edits,
        find: "value === null || healthOf(state, target) === 'down'",
        replace: 'value === null',
      },
    ],
  },
  {
    name: 'a freeze is ignored',
    rule: 0,
    by: '21-operator',
    edits: [
      {
        file: decide,
        find: `  if (s.frozen !== null && wayHome(s) === null) return stay('frozen', \`frozen: \${s.frozen}\`);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a freeze stops what was decided',
    rule: 0,
    by: '56-later-switch',
    edits: [
      {
        file: lane,
        find: `  if (lane.busy !== null && !lane.busy.yields) return;
`,
        replace: `  if ((lane.busy !== null && !lane.busy.yields) || state.freeze !== null) return;
`,
      },
    ],
  },
  {
    name: 'a drain moves nothing',
    rule: 0,
    by: '21-operator',
    edits: [
      {
        file: decide,
        find: 'if (current.drained && usable.length > 0) {',
        replace: 'if (current.drained && usable.length > 99) {',
      },
    ],
  },
  {
    name: 'a drain is forgotten by a restart',
    rule: 0,
    by: '52-restart',
    edits: [
      {
        file: engine,
        find: "if (key.startsWith('drain/')) state.drains",
        replace: "if (key.startsWith('drained/')) state.drains",
      },
    ],
  },
  {
    name: 'a deadline that is moved forward stays behind others',
    rule: 0,
    by: 'core/properties.test.ts',
    edits: [
      {
        file: 'src/core/timers.ts',
        find: 'else if (at < was) rise(heap, d, d.place);',
        replace: 'else if (at < was) heap[d.place] = d;',
      },
    ],
  },
  {
    name: 'probes do not take turns',
    rule: 22,
    by: 'probes/tcp.test.ts',
    edits: [
      {
        file: 'src/probes/index.ts',
        find: 'let [begun, most] = [0, turnMost]',
        replace: 'let [begun, most] = [0, 1_000_000]',
      },
    ],
  },
  {
    name: 'a flapping target is taken first',
    rule: 0,
    by: '59-flapping',
    edits: [
      {
        file: decide,
        find: '? 3 : trustedAt > s.now ? 2 : flaw',
        replace: '? 3 : flaw',
      },
    ],
  },
  {
    name: 'from observing to steering what was imagined is written',
    rule: 0,
    by: '22-observe',
    edits: [
      {
        file: arrange,
        find: `r.config.mode === 'observe' || !(observed || imagined) || follows(state)`,
        replace: `r.config.mode !== 'observe' || !(observed || imagined) || follows(state)`,
      },
    ],
  },
  {
    name: 'what wanted a person never says that it is over',
    rule: 0,
    by: '91-notices',
    edits: [
      {
        file: 'src/core/notices.ts',
        find: '  if (was === undefined) return false;',
        replace: "  if (was === undefined || was.word !== '') return false;",
      },
    ],
  },
  {
    name: 'a notice is closed that was not open',
    rule: 0,
    by: 'core/notices.test.ts',
    edits: [
      {
        file: 'src/core/notices.ts',
        find: '  const was = open.get(key);\n  if (was === undefined) return false;',
        replace: "  const was = open.get(key) ?? { word: '' };",
      },
    ],
  },
  {
    name: 'a restart forgets what was open',
    rule: 0,
    by: '91-notices',
    edits: [
      {
        file: 'src/core/notices.ts',
        find: 'if (keyOf(one.about) === key) state',
        replace: "if (keyOf(one.about) === '') state",
      },
    ],
  },
  {
    name: 'an audit holds against somebody what it could not see',
    rule: 5,
    by: 'audit/broken.test.ts',
    edits: [
      {
        file: 'src/core/audit.ts',
        find: "f.severity === 'warn' ? f.word : []",
        replace: "f.severity !== 'good' ? f.word : []",
      },
    ],
  },
  {
    name: 'silence about what users type is called a fault',
    rule: 5,
    by: 'audit/broken.test.ts',
    edits: [
      {
        file: 'src/audit/names.ts',
        find: "if (typeof zone === 'string') {\n    run.unknown(",
        replace: "if (typeof zone === 'string') {\n    run.bad(",
      },
    ],
  },
  {
    name: 'something is bad, and no grade fails',
    rule: 0,
    by: 'audit/broken.test.ts',
    edits: [
      {
        file: 'src/core/audit.ts',
        find: "severity === 'bad')) return 'F';",
        replace: "severity === 'bad')) return 'D';",
      },
    ],
  },
  {
    name: 'an etcd without a majority is taken for one that works',
    rule: 0,
    by: 'audit/broken.test.ts',
    edits: [
      {
        file: 'src/audit/leaning.ts',
        find: 'left <= same.length / 2',
        replace: 'left === 0',
      },
    ],
  },
  {
    name: 'vendors in one network are taken for two',
    rule: 0,
    by: 'audit/broken.test.ts',
    edits: [
      {
        file: 'src/audit/hands.ts',
        find: "address.split('.').slice(0, 3)",
        replace: "address.split('.').slice(0, 4)",
      },
    ],
  },
  {
    name: 'what users type may lead past the record',
    rule: 0,
    by: 'audit/broken.test.ts',
    edits: [
      {
        file: 'src/audit/names.ts',
        find: 'if (ways.has(record)) return true;',
        replace: 'if (ways.size === 1) return true;',
      },
    ],
  },
  {
    name: 'a TTL that breaks the objective by itself is let pass',
    rule: 0,
    by: 'audit/broken.test.ts',
    edits: [
      {
        file: 'src/audit/records.ts',
        find: 'ttlMs >= objectiveMs',
        replace: 'ttlMs >= 10 * objectiveMs',
      },
    ],
  },
  {
    name: 'a signed zone may deny names without a proof',
    rule: 0,
    by: 'audit/broken.test.ts',
    edits: [
      {
        file: 'src/audit/served.ts',
        find: 'denial.edns && !denial.proven',
        replace: 'denial.edns && denial.proven',
      },
    ],
  },
  {
    name: 'an audit that ran out of time calls itself whole',
    rule: 22,
    by: 'audit/audit.test.ts',
    edits: [
      {
        file: 'src/audit/run.ts',
        find: '    cut(why) {\n      complete = false;',
        replace: '    cut(why) {',
      },
    ],
  },
  {
    name: 'a finding bears more than its words and its place',
    rule: 20,
    by: 'audit/broken.test.ts',
    edits: [
      {
        file: 'src/audit/run.ts',
        find: 'const said = { word, severity, sentence, cure };',
        replace: 'const said = { ...finding, word, severity, sentence, cure };',
      },
    ],
  },
  {
    name: 'what was closed while the store failed stays in it as open',
    rule: 13,
    by: 'core/notices.test.ts',
    edits: [
      {
        file: 'src/core/notices.ts',
        find: 'for (const key of closed) drop(',
        replace: "for (const key of closed) if (key === '') drop(",
      },
    ],
  },
  {
    name: 'a kept document is changed afterwards',
    rule: 0,
    by: '01-outage',
    edits: [
      {
        file: 'src/core/state.ts',
        find: '  record.doc = { ...record.doc, ...change };',
        replace: '  Object.assign(record.doc, change);',
      },
    ],
  },
  {
    name: "a zone's trouble is the whole lane's",
    rule: 24,
    by: '91-sick-zone',
    edits: [
      {
        file: lane,
        find: `      const { zone } = answer.reach;
`,
        replace: `      const { zone } = answer.reach;
      account ??= answer.fault;
`,
      },
    ],
  },
  {
    name: 'a zone in trouble is tried along with all others',
    rule: 24,
    by: '92-hanging-zone',
    edits: [
      {
        file: lane,
        find: 'if (zone.failures === 0) queues.push(zone[which]);',
        replace: 'if (zoneDueAt(zone) <= state.now) queues.push(zone[which]);',
      },
    ],
  },
  {
    name: 'the try of a zone in trouble gives way to nothing',
    rule: 24,
    by: '92-hanging-zone',
    edits: [
      {
        file: lane,
        find: 'pick(state, lane, [zone[which]], config, { urgent, yields: true });',
        replace: 'pick(state, lane, [zone[which]], config, { urgent, yields: !urgent });',
      },
    ],
  },
  {
    name: 'a zone in trouble is tried at the pace of the lane',
    rule: 24,
    by: '91-sick-zone',
    edits: [
      {
        file: lane,
        find: 'if (zone.failures === 0 || zoneDueAt(zone) > state.now) continue;',
        replace: 'if (zone.failures === 0) continue;',
      },
    ],
  },
  {
    name: 'a zone in trouble is told of at every try',
    rule: 24,
    by: '91-sick-zone',
    edits: [
      {
        file: zone,
        find: `  if (lane.zones.has(name)) return;
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a zone that can be read and not written is taken for well',
    rule: 24,
    by: '92-hanging-zone',
    edits: [
      {
        file: lane,
        find: `    if (zone.writing && call.kind === 'read' && cell.work === 'write') unproven.add(zone);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a key that opens one zone is called refused',
    rule: 17,
    by: '91-sick-zone',
    edits: [
      {
        file: zone,
        find: `    if (cell !== undefined && !waitsForZone(lane, r.name, cell)) return null;
`,
        replace: '',
      },
    ],
  },
  {
    name: 'where no zone can be read, each is tried by itself',
    rule: 17,
    by: '93-every-zone',
    edits: [
      {
        file: lane,
        find: `  shareRest(lane);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'the first zone that works again leaves the others resting',
    rule: 17,
    by: '93-every-zone',
    edits: [
      {
        file: lane,
        find: `    if (lane.fault !== null) endRests(lane);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a zone refused by a lane that was in trouble is tried again at once',
    rule: 17,
    by: '93-every-zone',
    edits: [
      {
        file: lane,
        find: `  if (fault === null) return laneWorks(state, lane, out);
`,
        replace: `  if (fault === null) {
    endRests(lane);
    return laneWorks(state, lane, out);
  }
`,
      },
    ],
  },
  {
    name: 'what was not asked for has failed',
    rule: 24,
    by: '94-not-asked',
    edits: [
      {
        file: lane,
        find: `      askNext(state, r, cell, call.urgent);
      continue;
`,
        replace: `      failed(state, r, cell, lacking, out);
      continue;
`,
      },
    ],
  },
  {
    name: 'what was not asked for waits for its next time',
    rule: 24,
    by: '94-not-asked',
    edits: [
      {
        file: cell,
        find: `  if (cell.work !== 'none') return;
  cell.work = 'read';
  enqueue(state, r, cell, urgent || isPending(r, cell));
`,
        replace: `  if (cell.work !== 'none') return;
  enqueue(state, r, cell, urgent || isPending(r, cell));
`,
      },
    ],
  },
  {
    name: 'a change that was not sent is read again first',
    rule: 24,
    by: '94-not-asked',
    edits: [
      {
        file: lane,
        find: "    else if (answer.kind === 'not-asked') sendNext(state, r, cell, change, call.urgent, out);",
        replace: "    else if (answer.kind === 'not-asked') askNext(state, r, cell, call.urgent);",
      },
    ],
  },
  {
    name: 'an adapter that never gets to anything is asked without end',
    rule: 22,
    by: '94-not-asked',
    edits: [
      {
        file: lane,
        find: `  if (account === null && !works && zones.size === 0) {
`,
        replace: `  if (account === null && !works && zones.size > 999) {
`,
      },
    ],
  },
  {
    name: 'urgent work waits for a routine reading',
    rule: 24,
    by: '95-overtaking',
    edits: [
      {
        file: lane,
        find: `  if (lane.busy !== null && !lane.busy.yields) return;
`,
        replace: `  if (lane.busy !== null) return;
`,
      },
    ],
  },
  {
    name: 'what was cut off is forgotten',
    rule: 24,
    by: '95-overtaking',
    edits: [
      {
        file: lane,
        find: `    if (r !== undefined && cell !== undefined) askNext(state, r, cell, call.urgent);
`,
        replace: `    if (r === undefined && cell !== undefined) askNext(state, r!, cell, call.urgent);
`,
      },
    ],
  },
  {
    name: 'a reading that is cut off runs on',
    rule: 24,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: `        this.#readings.get(effect.id)?.abort();
`,
        replace: '',
      },
    ],
  },
  {
    name: 'the answers of a reading that was cut off count',
    rule: 24,
    by: 'core/lane.test.ts',
    edits: [
      {
        file: lane,
        find: `  if (lane?.busy?.id !== id) return [];
  const call = lane.busy;
  lane.busy = null;
  const lacking = faultOf({ kind: 'unavailable'`,
        replace: `  if (lane?.busy == null) return [];
  const call = lane.busy;
  lane.busy = null;
  const lacking = faultOf({ kind: 'unavailable'`,
      },
    ],
  },
  {
    name: 'the calls of a reading that was cut off are free',
    rule: 22,
    by: 'core/lane.test.ts',
    edits: [
      {
        file: engine,
        find: `      charge(state, event.provider, event.calls);
      return reviewEach(state, onRead(`,
        replace: `      if (state.lanes.get(event.provider)?.busy?.id === event.id) {
        charge(state, event.provider, event.calls);
      }
      return reviewEach(state, onRead(`,
      },
    ],
  },
  {
    name: 'what cuts a reading off waits for the reserve',
    rule: 24,
    by: 'core/lane.test.ts',
    edits: [
      {
        file: lane,
        find: 'const floor = batch.urgent ? 0 : config.quota.reserve;',
        replace: 'const floor = batch.urgent && lane.busy === null ? 0 : config.quota.reserve;',
      },
    ],
  },
  {
    name: 'a write is cut off',
    rule: 15,
    by: '92-hanging-zone',
    edits: [
      {
        file: lane,
        find: "  return { kind: 'write', names, urgent, yields: false };",
        replace: "  return { kind: 'write', names, urgent, yields: true };",
      },
    ],
  },
  {
    name: "one record's retries cut off the reading of all others",
    rule: 24,
    by: '97-name-alone',
    edits: [
      {
        file: lane,
        find: '  return batch?.names.some((name) => cellOf(name).attempts === 0) ? batch : null;',
        replace: '  return batch?.names.some((name) => cellOf(name).attempts >= 0) ? batch : null;',
      },
    ],
  },
  {
    name: "a name's own refusal is retried as fast as anything",
    rule: 17,
    by: '97-name-alone',
    edits: [
      {
        file: cell,
        find: `  if (fault.kind === 'auth-suspect') waitMs = authRetryMs(state);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a marker is read whatever its epoch',
    rule: 25,
    by: '96-highest-epoch',
    edits: [
      {
        file: marker,
        find: `  if (Math.max(epoch, term, pinMs ?? 0) > MARKER_NUMBER_MAX) return null;
`,
        replace: '',
      },
    ],
  },
  {
    name: 'an epoch is made that nobody can read back',
    rule: 25,
    by: '115-epochs-spent',
    edits: [
      {
        file: marker,
        find: '  return after < MARKER_NUMBER_MAX ? after + 1 : null;',
        replace: '  return after < 2 * MARKER_NUMBER_MAX ? after + 1 : null;',
      },
    ],
  },
  {
    name: 'a record whose epochs are spent does not say so',
    rule: 25,
    by: '115-epochs-spent',
    edits: [
      {
        file: decide,
        find: `  if (s.spent !== null) return stay('epochs-spent', s.spent);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'an operator is not told that epochs are spent',
    rule: 25,
    by: '115-epochs-spent',
    edits: [
      {
        file: operate,
        find: `  if (isSpent(r)) return refused(spentSays(r.name));
  if (r.doc.deposed`,
        replace: '  if (r.doc.deposed',
      },
    ],
  },
  {
    name: 'a record whose epochs are spent can never be freed',
    rule: 25,
    by: '115-epochs-spent',
    edits: [
      {
        file: agree,
        find: `  if (nextEpoch(epochMax) === null) {`,
        replace: `  if (epochMax < 0) {`,
      },
    ],
  },
  {
    name: 'a name that has failed is tried along with all others',
    rule: 24,
    by: '97-name-alone',
    edits: [
      {
        file: lane,
        find: 'const list = cell.attempts > 0 ? again : reads;',
        replace: 'const list = reads;',
      },
    ],
  },
  {
    name: 'the try of a name that has failed gives way to nothing',
    rule: 24,
    by: '97-name-alone',
    edits: [
      {
        file: lane,
        find: 'names: again, urgent: how.urgent, yields: true }',
        replace: 'names: again, urgent: how.urgent, yields: false }',
      },
    ],
  },
  {
    name: 'a package that its group may write is loaded',
    rule: 0,
    by: 'run/plugins.test.ts',
    edits: [{ file: plugins, find: '(mode & 0o022) !== 0', replace: '(mode & 0o002) !== 0' }],
  },
  {
    name: 'the folders on the way to a package are not looked at',
    rule: 0,
    by: 'run/plugins.test.ts',
    edits: [
      {
        file: plugins,
        find: '      refuseOthers(next, stat);',
        replace: '      if (rest.length === 0) refuseOthers(next, stat);',
      },
    ],
  },
  {
    name: 'what a package throws is shown',
    rule: 20,
    by: 'run/plugins.test.ts',
    edits: [
      {
        file: plugins,
        find: '  return word.replaceAll(',
        replace: '  return String((error as Error)?.message ?? word).replaceAll(',
      },
    ],
  },
  {
    name: 'readers do not rest between two slices',
    rule: 24,
    by: 'serve/readers.test.ts',
    edits: [
      {
        file: readers,
        find: '    this.#restUntil = now() + laterMs + spentMs * (1 / part - 1);',
        replace: '    this.#restUntil = now();',
      },
    ],
  },
  {
    name: 'a slice ends only when nothing is left to do',
    rule: 24,
    by: 'serve/readers.test.ts',
    edits: [
      {
        file: readers,
        find: 'while (now() - begin + laterMs < sliceMs) {',
        replace: 'while (now() >= begin) {',
      },
    ],
  },
  {
    name: 'one work of a reader is finished before the next begins',
    rule: 24,
    by: 'serve/readers.test.ts',
    edits: [
      {
        file: readers,
        find: '          this.#jobs.push(job);\n',
        replace: '          this.#jobs.unshift(job);\n',
      },
    ],
  },
  {
    name: 'who asks while a view is made gets one that was begun before',
    rule: 29,
    by: 'serve/readers.test.ts',
    edits: [
      {
        file: readers,
        find: '    next = null;\n    return make();',
        replace: '    return make();',
      },
    ],
  },
  {
    name: 'texts are held without a bound',
    rule: 24,
    by: 'serve/readers.test.ts',
    edits: [
      {
        file: readers,
        find: 'while (this.#held.size >= texts) {',
        replace: 'while (this.#held.size > 1_000_000 + texts) {',
      },
    ],
  },
  {
    name: 'a part of the view stays as it was',
    rule: 29,
    by: 'core/view.test.ts',
    edits: [
      {
        file: 'src/core/view.ts',
        find: 'was !== undefined && isAlike(was, now) ? was : now',
        replace: 'was ?? now',
      },
    ],
  },
  {
    name: 'a scrape tells the counts of the scrape before',
    rule: 29,
    by: 'serve/metrics.test.ts',
    edits: [
      {
        file: 'src/serve/metrics.ts',
        find: '    known.sumMs += ms;\n    known.drawn = null;',
        replace: '    known.sumMs += ms;',
      },
    ],
  },
  {
    name: 'a scrape draws everything anew',
    rule: 24,
    by: 'serve/metrics.test.ts',
    edits: [
      {
        file: 'src/serve/metrics.ts',
        find: 'const made = known.get(part) ?? drawn(',
        replace: 'const made = drawn(',
      },
    ],
  },
  {
    name: 'short answers are given as fast as they are asked for',
    rule: 24,
    by: 'serve/serve.test.ts',
    edits: [
      {
        file: 'src/serve/http.ts',
        find: 'await askers.spend(small(() => answer(options, path)));',
        replace: 'await Promise.resolve(answer(options, path));',
      },
    ],
  },
  {
    name: 'health and gates wait for scrapes',
    rule: 24,
    by: 'serve/serve.test.ts',
    edits: [
      {
        file: 'src/serve/http.ts',
        find: 'await askers.spend(',
        replace: 'await readers.spend(',
      },
    ],
  },
  {
    name: 'a history is read in one go',
    rule: 24,
    by: 'serve/serve.test.ts',
    edits: [
      {
        file: 'src/serve/routes.ts',
        find: 'const pageMost = 100;',
        replace: 'const pageMost = 10_000;',
      },
    ],
  },
  {
    name: 'a zone that was silent takes others along once the lane works',
    rule: 24,
    by: '93-every-zone',
    edits: [
      {
        file: zone,
        find: "zone.failures = zone.fault.kind === 'unavailable' ? 1 : 0;",
        replace: 'zone.failures = 0;',
      },
    ],
  },
  {
    name: 'failures from before a silence go on counting after it',
    rule: 6,
    by: '98-old-failures',
    edits: [
      {
        file: watch,
        find: '    if (cs.fails > 0 || cs.passes > 0) forget(cs, state.now);\n',
        replace: '',
      },
    ],
  },
  {
    name: 'names that are answered wait in one line with names that are silent',
    rule: 24,
    by: 'dns/lookup.test.ts',
    edits: [
      {
        file: 'src/dns/lookup.ts',
        find: "this.#limits[this.#standings.get(name) ?? 'unknown'];",
        replace: 'this.#limits.unanswered;',
      },
    ],
  },
  {
    name: 'at DNSPod a line that nobody lists is left on the old target',
    rule: 0,
    by: 'providers/dnspod.test.ts',
    edits: [
      {
        file: 'providers/dnspod.ts',
        find: 'if (stray !== undefined) {',
        replace: 'if (stray === null) {',
      },
    ],
  },
  {
    name: 'at DNSPod what the lists do not show yet is taken for missing',
    rule: 14,
    by: 'providers/dnspod.test.ts',
    edits: [
      {
        file: 'providers/kit/dnspod-records.ts',
        find: 'const freshMs = 60_000;',
        replace: 'const freshMs = 0;',
      },
    ],
  },
  {
    name: 'a claim of what was just made is taken over by a higher epoch at once',
    rule: 14,
    by: 'providers/dnspod.test.ts',
    edits: [
      {
        file: 'providers/kit/claim.ts',
        find: 'return (from.markers.length > 0 && theirs < epoch) || ',
        replace: 'return theirs < epoch || ',
      },
    ],
  },
  {
    name: "vendors' APIs are looked up in the threads that silent names fill",
    rule: 24,
    by: 'probes/names.test.ts',
    edits: [
      {
        file: 'providers/kit/agents.ts',
        find: 'const own = { ...options, lookup: lookupOf(context) };',
        replace: 'const own = { ...options };',
      },
    ],
  },
  {
    name: 'a zone that hangs is waited for as long as a call may take',
    rule: 24,
    by: 'providers/by-zone.test.ts',
    edits: [
      {
        file: 'providers/kit/patience.ts',
        find: 'const silenceLeastMs = 500;',
        replace: 'const silenceLeastMs = 50_000;',
      },
    ],
  },
  {
    name: 'a zone is given up though nobody else has answered',
    rule: 24,
    by: 'providers/by-zone.test.ts',
    edits: [
      {
        file: 'providers/kit/patience.ts',
        find: 'if (slowestMs === null || this.#waiting.size === 0) return;',
        replace: 'if (this.#waiting.size === 0) return;',
      },
      {
        file: 'providers/kit/patience.ts',
        find: 'const slowestMs = this.#slowestMs;',
        replace: 'const slowestMs = this.#slowestMs ?? 1;',
      },
    ],
  },
  {
    name: 'an unsigned marker gives orders',
    rule: 25,
    by: '100-whose-marker',
    edits: [
      {
        file: plan,
        find: `  if (known.signed) {
`,
        replace: `  if (known.signed && proof.word !== 'unsigned' && proof.word !== 'wrong') {
`,
      },
    ],
  },
  {
    name: 'a marker by a key that was replaced gives orders',
    rule: 25,
    by: '102-keys',
    edits: [
      {
        file: plan,
        find: "    if (proof.word === 'retired') return { whose: 'ours', marker };",
        replace:
          "    if (proof.word === 'retired') return { whose: 'genuine', marker, cname: proof.cname };",
      },
    ],
  },
  {
    name: 'what the store remembers is foreign after an upgrade',
    rule: 25,
    by: '101-upgrade',
    edits: [
      {
        file: plan,
        find: "if (known.remembered.some((own) => isSameMarker(own, marker)) && proof.word !== 'genuine') {",
        replace: 'if (known.remembered.length > 9) {',
      },
    ],
  },
  {
    name: 'what was placed is not remembered',
    rule: 25,
    by: '101-upgrade',
    edits: [
      {
        file: cell,
        find: 'const remembered = [marker, own(placed, cell.provider)?.marker].filter((m) => m != null);',
        replace:
          'const remembered = [own(placed, cell.provider)?.marker].filter((m) => m !== undefined && marker === null);',
      },
    ],
  },
  {
    name: 'a replaced key stays in use',
    rule: 25,
    by: '102-keys',
    edits: [
      {
        file: plan,
        find: "  if (wanted.signed && by.whose !== 'genuine') {",
        replace: '  if (by.whose === null) {',
      },
    ],
  },
  {
    name: 'without a key a signature is left standing',
    rule: 25,
    by: '102-keys',
    edits: [
      {
        file: plan,
        find: 'if (!wanted.signed && by.marker.mac !== undefined) {',
        replace: "if (!wanted.signed && by.marker.mac === '') {",
      },
    ],
  },
  {
    name: 'an enormous epoch uses epochs up',
    rule: 25,
    by: '96-highest-epoch',
    edits: [
      {
        file: plan,
        find: 'marker.epoch > known.epochMax + EPOCH_LEAP_MAX',
        replace: 'marker.epoch > Number.MAX_SAFE_INTEGER',
      },
    ],
  },
  {
    name: "an operator's marker leads to what is not configured",
    rule: 14,
    by: '100-whose-marker',
    edits: [
      {
        file: plan,
        find: 't.origin === marker.target && t.cname === cname',
        replace: 't.origin === marker.target && cname !== null',
      },
    ],
  },
  {
    name: 'a lost store follows the first vendor that answers',
    rule: 4,
    by: '103-lost-store',
    edits: [
      {
        file: plan,
        find: '  if (read.length < majority) {',
        replace: '  if (read.length === 0) {',
      },
    ],
  },
  {
    name: 'an answer of DNS adopts',
    rule: 26,
    by: '108-forged-dns',
    edits: [
      {
        file: adopt,
        find: "const isByApi = (c: Cell) => c.answeredAt > 0 && c.standingBy === 'api';",
        replace: 'const isByApi = (_: Cell) => true;',
      },
    ],
  },
  {
    name: 'an unsigned epoch of DNS is believed',
    rule: 26,
    by: '108-forged-dns',
    edits: [
      {
        file: cell,
        find: "  if (by === 'api' || s.by.whose === 'genuine') amend",
        replace: '  if (by !== null) amend',
      },
    ],
  },
  {
    name: 'one edit moves all',
    rule: 27,
    by: '105-a-word',
    edits: [
      {
        file: edits,
        find: '  const needed = Math.max(2, majorityOf(r.cells.size));',
        replace: '  const needed = 1;',
      },
      {
        file: edits,
        find: '  if (edits.length < 2 || !mayMove(state, r)) return false;',
        replace: '  if (!mayMove(state, r)) return false;',
      },
    ],
  },
  {
    name: 'an edit beats a pin',
    rule: 27,
    by: '105-a-word',
    edits: [
      {
        file: edits,
        find: ' && r.doc.pin === null && !isFrozen',
        replace: ' && !isFrozen',
      },
    ],
  },
  {
    name: 'two edits of one day are one word',
    rule: 27,
    by: '105-a-word',
    edits: [
      {
        file: edits,
        find: 'e.marked && state.now - e.at <= WORD_MS',
        replace: 'e.marked',
      },
    ],
  },
  {
    name: "a tool's second word is taken",
    rule: 27,
    by: '105-a-word',
    edits: [
      {
        file: edits,
        find: "healthOf(state, origin) === 'down' || isToolsWork(state, r, origin)",
        replace: "healthOf(state, origin) === 'down'",
      },
    ],
  },
  {
    name: 'markers that went make a word',
    rule: 27,
    by: '105-a-word',
    edits: [
      {
        file: edits,
        find: 'e.target === origin && e.marked &&',
        replace: 'e.target === origin &&',
      },
    ],
  },
  {
    name: 'following takes the last switch of the budget',
    rule: 27,
    by: '104-the-table',
    edits: [
      {
        file: edits,
        find: 'if (used >= r.config.switchesPerHour - 1) return false;',
        replace: 'if (used >= r.config.switchesPerHour) return false;',
      },
    ],
  },
  {
    name: 'what is not up is put back',
    rule: 3,
    by: '104-the-table',
    edits: [
      {
        file: edits,
        find: "  return inForce === 'up' || isWanted ? 'back' : 'leave';",
        replace: "  return isWanted || inForce !== null ? 'back' : 'leave';",
      },
    ],
  },
  {
    name: 'a fight goes on at full speed',
    rule: 27,
    by: '106-a-tool',
    edits: [
      {
        file: edits,
        find: '    if (state.now < dueAt) {',
        replace: '    if (state.now < lastAt) {',
      },
    ],
  },
  {
    name: 'a fight pages nobody',
    rule: 27,
    by: '106-a-tool',
    edits: [
      {
        file: edits,
        find: '  if (cell.mends[why].count >= AT_ONCE) page',
        replace: '  if (cell.mends[why].count < 0) page',
      },
    ],
  },
  {
    name: 'a pin ends a hold',
    rule: 27,
    by: '104-the-table',
    edits: [
      {
        file: switching,
        find: 'const since = anew === null ? r.doc.since : marker.epoch;',
        replace: 'const since = marker.epoch;',
      },
    ],
  },
  {
    name: 'a rejected switch stays where it is',
    rule: 14,
    by: '107-reject',
    edits: [
      {
        file: operate,
        find: "reissue(state, r, 'operator', out, 'anew');",
        replace: "reissue(state, r, 'operator', out);",
      },
    ],
  },
  {
    name: 'epochs begin again after a release',
    rule: 1,
    by: '96-highest-epoch',
    edits: [
      {
        file: engine,
        find: `    if (state.eyes === null && !follows(state)) release(state, name, r.doc, out);
`,
        replace: `    if (state.eyes === null && !follows(state)) drop(out, \`record/\${name}\`);
`,
      },
    ],
  },
  {
    name: 'what was lost is forgotten by a restart',
    rule: 15,
    by: '109-late-value',
    edits: [
      {
        file: arrange,
        find: 'doc: { ...newDoc(), epochMax: state.released.get(config.name) ?? 0, ...stored },',
        replace:
          'doc: { ...newDoc(), epochMax: state.released.get(config.name) ?? 0, ...stored, late: {} },',
      },
    ],
  },
  {
    name: 'the direct way out counts on by one past a vendor that is mute',
    rule: 26,
    by: 'core/direct.test.ts',
    edits: [
      {
        file: direct,
        find: 'places.some((p) => p.seen === null) ? UNREAD_LEAP : 0',
        replace: 'places.some((p) => p.seen === null) ? 0 : 0',
      },
    ],
  },
  {
    name: 'a fault in a fold ends the daemon',
    rule: 25,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: `      this.#beginAnew(event, error, config, lease);
      return false;`,
        replace: `      if (lease.term >= 0) throw error;
      this.#beginAnew(event, error, config, lease);
      return false;`,
      },
    ],
  },
  {
    name: 'what cannot be folded in is tried at once again',
    rule: 25,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: 'shutOut ? withoutContent(event) : event',
        replace: 'event',
      },
    ],
  },
  {
    name: 'a signature covers no record',
    rule: 25,
    by: 'cluster/keyring.test.ts',
    edits: [
      {
        file: marker,
        find: 'const fields = [cluster, record, epoch,',
        replace: 'const fields = [cluster, record.slice(0, 0), epoch,',
      },
    ],
  },
  {
    name: 'a signature covers no CNAME',
    rule: 25,
    by: 'cluster/keyring.test.ts',
    edits: [
      {
        file: marker,
        find: 'kind, target, cname, pinOf(m)]',
        replace: 'kind, target, cname.slice(0, 0), pinOf(m)]',
      },
    ],
  },
  {
    name: 'an edit that an earlier reading showed is mended',
    rule: 25,
    by: '111-overtaken-edit',
    edits: [
      {
        file: cell,
        find: `  cell.ahead = null;
  cell.edited = null;
  const settles`,
        replace: `  const settles`,
      },
    ],
  },
  {
    name: 'an edit is confirmed by two readings with another between',
    rule: 27,
    by: '111-overtaken-edit',
    edits: [{ file: cell, find: "  if (p.kind !== 'edit') cell.odd = null;\n", replace: '' }],
  },
  {
    name: 'a switch does not end what was held for its marker',
    rule: 27,
    by: '112-a-switch-ends-it',
    edits: [
      { file: plan, find: 'return isHeld ? write(because) : remark', replace: 'return remark' },
    ],
  },
  {
    name: 'an edit that was left for an hour is mended with passes and a reading of then',
    rule: 3,
    by: '113-fresh-before-mending',
    edits: [
      {
        file: edits,
        find: '  const since = cell.odd?.backAt ?? state.now;',
        replace: '  const since = cell.odd?.at ?? state.now;',
      },
    ],
  },
  {
    name: 'what was answered for is called a late write',
    rule: 15,
    by: '114-not-late',
    edits: [{ file: switching, find: ' && !cell.held && !hasStood', replace: ' && !cell.held' }],
  },
  {
    name: 'an enormous epoch that most providers bear is adopted with a lost store',
    rule: 25,
    by: '115-enormous-and-alone',
    edits: [
      {
        file: plan,
        find: 'const claims = isLeap ? null : marker;',
        replace: 'const claims = marker;',
      },
    ],
  },
  {
    name: 'what DNS has said since counts as said by the API',
    rule: 26,
    by: '116-adopted-by-its-api',
    edits: [{ file: adopt, find: " && c.standingBy === 'api'", replace: '' }],
  },
  {
    name: 'a forged marker under the same id is not seen through DNS',
    rule: 25,
    by: '117-forged-under-its-id',
    edits: [
      { file: cell, find: "proofs?.some((p) => p.word !== 'genuine')", replace: 'proofs === null' },
      { file: cell, find: '!isSameMarker(m, inForce);', replace: 'm.id !== inForce.id;' },
    ],
  },
  {
    name: 'a record adopted again loses its pin in the marker',
    rule: 9,
    by: '118-adopted-under-a-pin',
    edits: [
      {
        file: adopt,
        find: 'pinned: pin !== null, pinUntilAt: pin?.untilAt ?? null',
        replace: 'pinned: pin === undefined, pinUntilAt: null',
      },
    ],
  },
  {
    name: 'markers that were written again are held against the next outage',
    rule: 14,
    by: '113-a-tool-before-an-outage',
    edits: [
      {
        file: cell,
        find: "mend(state, r, cell, 'marker', p.change,",
        replace: "mend(state, r, cell, 'away', p.change,",
      },
    ],
  },
  {
    name: 'a record that another tool manages is adopted by itself',
    rule: 4,
    by: '112-another-owner',
    edits: [
      {
        file: adopt,
        find: "if (others !== null && r.config.mode !== 'observe') {",
        replace: 'if (others === undefined) {',
      },
    ],
  },
  {
    name: 'the direct way out takes over what another tool manages',
    rule: 4,
    by: 'core/direct.test.ts',
    edits: [
      {
        file: 'src/core/direct.ts',
        find: 'if (others !== null && !state.order.adopt)',
        replace: 'if (others === undefined)',
      },
    ],
  },
  {
    name: 'nobody looks for the marks of other tools before an adoption',
    rule: 4,
    by: 'dns/company.test.ts',
    edits: [
      {
        file: 'src/dns/company.ts',
        find: 'return cnames.length > 0 && markers.length === 0;',
        replace: 'return cnames.length > 0 && markers.length > 9;',
      },
    ],
  },
  {
    name: 'a reload leaves the TTL as it was',
    rule: 0,
    by: '111-reload',
    edits: [
      {
        file: arrange,
        find: 'if (cell.ttl !== ttl) retimed(state, r, cell, ttl, out);',
        replace: 'if (cell.ttl < 0) retimed(state, r, cell, ttl, out);',
      },
    ],
  },
  {
    name: 'a shorter interval waits out the old one',
    rule: 0,
    by: '110-cadence',
    edits: [
      {
        file: watched,
        find: '    cs.dueAt = Math.min(cs.dueAt, dueAt);',
        replace: '    cs.dueAt = dueAt;',
      },
    ],
  },
  {
    name: 'what is asked for more often is stale at once',
    rule: 5,
    by: '110-cadence',
    edits: [
      {
        file: watched,
        find: '    if (!isOld) cs.heardAt',
        replace: '    if (isOld) cs.heardAt',
      },
    ],
  },
  {
    name: 'a burst waits out the old pace',
    rule: 0,
    by: '110-cadence',
    edits: [
      {
        file: watched,
        find: 'Math.min(confirm.at, state.now + is.confirmMs)',
        replace: 'confirm.at',
      },
    ],
  },
  {
    name: 'a reload ends a freeze',
    rule: 9,
    by: '111-reload',
    edits: [
      {
        file: engine,
        find: `  state.config = config;
  state.configuredAt`,
        replace: `  state.config = config;
  state.freeze = null;
  state.configuredAt`,
      },
    ],
  },
  {
    name: 'a reload ends drains',
    rule: 9,
    by: '111-reload',
    edits: [
      {
        file: engine,
        find: `  state.config = config;
  state.configuredAt`,
        replace: `  state.config = config;
  state.drains.clear();
  state.configuredAt`,
      },
    ],
  },
  {
    name: 'a reload forgets what was said of a record',
    rule: 9,
    by: '111-reload',
    edits: [
      {
        file: arrange,
        find: `  r.config = config;
`,
        replace: `  if (r.config !== config) r.doc = { ...r.doc, pin: null, freeze: null };
  r.config = config;
`,
      },
    ],
  },
  {
    name: 'a reload gives the budget back',
    rule: 10,
    by: '111-reload',
    edits: [
      {
        file: arrange,
        find: `  r.config = config;
`,
        replace: `  if (r.config !== config) r.doc = { ...r.doc, switches: [] };
  r.config = config;
`,
      },
    ],
  },
  {
    name: 'a reload forgets what flaps',
    rule: 0,
    by: '111-reload',
    edits: [
      {
        file: arrange,
        find: 'trustedAt: old?.trustedAt ?? 0',
        replace: 'trustedAt: 0',
      },
    ],
  },
  {
    name: 'a record that was released is still decided',
    rule: 4,
    by: '111-reload',
    edits: [
      {
        file: engine,
        find: `    state.records.delete(name);
`,
        replace: `    if (name === '') state.records.delete(name);
`,
      },
    ],
  },
  {
    name: 'a drain of what is gone cannot be taken back',
    rule: 9,
    by: '111-reload',
    edits: [
      {
        file: operate,
        find: 'placeOf(state, c.what, [...state.drains.keys()])',
        replace: 'placeOf(state, c.what, [])',
      },
    ],
  },
  {
    name: 'refused keys rest on after a reload',
    rule: 17,
    by: '111-reload',
    edits: [
      {
        file: lane,
        find: `    one.retryAt = 0;
    one.urgentAt = 0;
  }
  for (const r of`,
        replace: `  }
  for (const r of`,
      },
    ],
  },
  {
    name: 'a drain said while the store failed is not stored',
    rule: 13,
    by: '113-words',
    edits: [
      {
        file: engine,
        find: `  for (const d of state.drains.values()) put(out, \`drain/\${d.what}\`, d);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a freeze said while the store failed is not stored',
    rule: 13,
    by: '113-words',
    edits: [
      {
        file: engine,
        find: "  else put(out, 'freeze', state.freeze);",
        replace: "  else if (state.steps < 0) put(out, 'freeze', state.freeze);",
      },
    ],
  },
  {
    name: 'the TTL of what was adopted stays for ever',
    rule: 0,
    by: '114-held',
    edits: [
      {
        file: switching,
        find: `    quietSinceAt: state.now,
    adopted: false,`,
        replace: `    quietSinceAt: state.now,
    adopted: r.doc.adopted,`,
      },
    ],
  },
  {
    name: 'nobody wakes for a budget that fills again',
    rule: 10,
    by: '114-held',
    edits: [
      {
        file: decide,
        find: 'Math.min(refillAt, Math.max(restedAt, steadyAt), mayLeave ? lastsAt : refillAt)',
        replace: 'Math.max(restedAt, steadyAt)',
      },
    ],
  },
  {
    name: 'nobody wakes for the exception of a spent budget',
    rule: 10,
    by: '114-held',
    edits: [
      {
        file: decide,
        find: 'Math.min(refillAt, Math.max(restedAt, steadyAt), mayLeave ? lastsAt : refillAt)',
        replace: 'refillAt',
      },
    ],
  },
  {
    name: 'what happened without a store is not told when it works again',
    rule: 29,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: 'this.#tryCommit(probe, this.#arrears())',
        replace: 'this.#tryCommit(probe)',
      },
    ],
  },
  {
    name: 'a hole in the journal is told to nobody',
    rule: 29,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: 'return lost === 0 ? []',
        replace: 'return lost >= 0 ? []',
      },
    ],
  },
  {
    name: "a person's word is the first to go where there is no room",
    rule: 29,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: 'findIndex((one) => !isWord.has(one.entry.kind))',
        replace: 'findIndex(() => true)',
      },
    ],
  },
  {
    name: 'a word that was not durable comes back without a word',
    rule: 29,
    by: 'controller.test.ts',
    edits: [
      {
        file: engine,
        find: '  if (unkept.length > 0) {',
        replace: '  if (unkept.length > 1e9) {',
      },
    ],
  },
  {
    name: 'a word that is durable is called forgotten',
    rule: 29,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: `    if (committed && !this.#storeFailed && this.#words.length > 0) this.#remind([]);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a switch that was taken back is written as made',
    rule: 29,
    by: 'controller.test.ts',
    edits: [
      {
        file: engine,
        find: '  return entries.filter((entry) => !isUndone(entry));',
        replace: '  return entries.filter((entry) => !isUndone(entry) || true);',
      },
    ],
  },
  {
    name: 'a release said while the store failed comes back',
    rule: 29,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: "['alive', this.#state.now], ...this.#owing()]",
        replace: "['alive', this.#state.now], ...owed(this.#state)]",
      },
    ],
  },
  {
    name: 'what ended while both the disk and the group were full stands in the group for ever',
    rule: 29,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: "this.#commitsAgain('the group');",
        replace: "this.#step({ kind: 'store', ok: true, what: 'the group' });",
      },
    ],
  },
  {
    name: 'a second word says that nothing is to be done, though the first is not durable',
    rule: 29,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: 'committed && (!this.#storeFailed || isLook(asked?.command))',
        replace: 'committed',
      },
    ],
  },
  {
    name: 'what ended while the disk was full stands in the group for ever',
    rule: 29,
    by: 'controller-group.test.ts',
    edits: [{ file: controller, find: 'ok: true, dropped, ...(', replace: 'ok: true, ...(' }],
  },
  {
    name: 'who is told that it may not commit holds on to the lease, and nobody acts',
    rule: 12,
    by: 'cluster/etcd.test.ts',
    edits: [
      {
        file: 'src/cluster/etcd.ts',
        find: '      this.#lapse();\n      return {',
        replace: '      return {',
      },
    ],
  },
  {
    name: 'in an engine that was put back another’s key passes for ours',
    rule: 12,
    by: 'cluster/etcd.test.ts',
    edits: [
      {
        file: 'src/cluster/ledger.ts',
        find: "lease`, target: 'value', value: claim }",
        replace: "lease`, target: 'create', revision: create }",
      },
    ],
  },
  {
    name: 'a head that is read late sets the clock of one who has acted',
    rule: 12,
    by: 'cluster/etcd.test.ts',
    edits: [
      {
        file: 'src/cluster/etcd.ts',
        find: 'read late must not set it anew.\n    this.#isShiftLive = true;',
        replace: 'read late must not set it anew.',
      },
    ],
  },
  {
    name: 'a commit compares the revision of the head and not its text',
    rule: 30,
    by: 'cluster/etcd.test.ts',
    edits: [{ file: 'src/cluster/ledger.ts', find: 'headRaw === null ?', replace: 'true ?' }],
  },
  {
    name: 'a restoration does not go above the terms that others have told of',
    rule: 30,
    by: 'cluster/etcd.test.ts',
    edits: [
      {
        file: 'src/cluster/etcd.ts',
        find: 'this.#heardTerm = Math.max(this.#heardTerm, term);',
        replace: '',
      },
    ],
  },
  {
    name: 'a record that nobody decided gets a document when the store works again',
    rule: 13,
    by: 'core/kept.test.ts',
    edits: [{ file: 'src/core/engine.ts', find: 'if (isBlank(r))', replace: 'if (false)' }],
  },
  {
    name: 'at the end what is owed to the store is left out',
    rule: 29,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: 'this.#storeFailed ? this.#owing() : []',
        replace: 'this.#storeFailed ? [] : []',
      },
    ],
  },
  {
    name: 'a reload does not say what wants a restart',
    rule: 29,
    by: 'config/changes.test.ts',
    edits: [
      {
        file: 'src/config/changes.ts',
        find: 'was[key] === is[key] ? [] :',
        replace: 'was !== is ? [] :',
      },
    ],
  },
  {
    name: 'a reload builds in the other state directory',
    rule: 29,
    by: 'config/changes.test.ts',
    edits: [
      {
        file: 'src/config/changes.ts',
        find: 'return { ...is, ...kept };',
        replace: 'return { ...kept, ...is };',
      },
    ],
  },
  {
    name: 'a zone takes in whatever ends like it',
    rule: 24,
    by: 'core/name.test.ts',
    edits: [
      {
        file: 'src/core/name.ts',
        find: `name.endsWith(\`.\${zone}\`)`,
        replace: 'name.endsWith(zone)',
      },
    ],
  },
  {
    name: 'a quorum by share is rounded down',
    rule: 6,
    by: 'core/detect.test.ts',
    edits: [
      {
        file: detect,
        find: 'Math.ceil(sighted * rule.share)',
        replace: 'Math.floor(sighted * rule.share)',
      },
    ],
  },
  {
    name: 'a quorum by share may be one of many',
    rule: 6,
    by: 'core/detect.test.ts',
    edits: [
      {
        file: detect,
        find: 'rule.share), least)',
        replace: 'rule.share), 1)',
      },
    ],
  },
  {
    name: 'routine calls are made from the reserve',
    rule: 0,
    by: 'core/lane.test.ts',
    edits: [
      {
        file: lane,
        find: 'batch.urgent ? 0 : config.quota.reserve',
        replace: 'batch.urgent ? 0 : 0',
      },
    ],
  },
  {
    name: 'the calls of a write beyond the first are free',
    rule: 0,
    by: 'core/lane.test.ts',
    edits: [
      {
        file: engine,
        find: `      charge(state, event.provider, event.calls);
      return reviewEach(state, onWritten`,
        replace: `      return reviewEach(state, onWritten`,
      },
    ],
  },
  {
    name: 'a call is not paid for before it is sent',
    rule: 0,
    by: 'core/lane.test.ts',
    edits: [
      {
        file: 'src/core/state.ts',
        find: '  bucket.tokens -= cost;',
        replace: '  bucket.tokens -= cost > 1 ? cost : 0;',
      },
    ],
  },
  {
    name: 'secrets follow a redirect to another port',
    rule: 20,
    by: 'probes/sign.test.ts',
    edits: [
      {
        file: 'src/probes/http.ts',
        find: 'a.port === b.port && ',
        replace: '',
      },
    ],
  },
  {
    name: 'a gate opens for what is only being confirmed',
    rule: 0,
    by: 'controller.test.ts',
    edits: [
      {
        file: 'src/core/view.ts',
        find: 'return { target: r.doc.target, targets: r.config',
        replace: 'return { target: r.choosing?.to ?? r.doc.target, targets: r.config',
      },
    ],
  },
  {
    name: 'an origin stays down for a check that a reload took away',
    rule: 5,
    by: 'core/reload.test.ts',
    edits: [
      {
        file: arrange,
        find: `  judgeAnew(state, out);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a new check makes unknown what is up',
    rule: 5,
    by: 'core/reload.test.ts',
    edits: [
      {
        file: judge,
        find: '    if (!isNew) rejudge(state, name, out);',
        replace: '    if (isNew || !isNew) rejudge(state, name, out);',
      },
    ],
  },
  {
    name: 'a new path makes unknown what is up',
    rule: 5,
    by: 'core/reload.test.ts',
    edits: [
      {
        file: judge,
        find: '    if (!isNew) judge(state, judged, out);',
        replace: '    if (isNew || !isNew) judge(state, judged, out);',
      },
    ],
  },
  {
    name: 'the document of a record that was released stays',
    rule: 4,
    by: 'core/reload.test.ts',
    edits: [
      {
        file: agree,
        find: `  drop(out, \`record/\${name}\`);
`,
        replace: ``,
      },
    ],
  },
  {
    name: 'a name that was taken out waits on in its queue',
    rule: 24,
    by: 'core/reload.test.ts',
    edits: [
      {
        file: zone,
        find: `  if (lane !== undefined) dequeue(lane, name, cell);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'an account whose last zone is gone cannot be shown',
    rule: 24,
    by: 'core/reload.test.ts',
    edits: [
      {
        file: lane,
        find: `  if (lane.zones.size === 0) lane.allSick = false;
`,
        replace: '',
      },
    ],
  },
  {
    name: 'what was said of a record is forgotten by a start without it',
    rule: 9,
    by: 'core/reload.test.ts',
    edits: [
      {
        file: arrange,
        find: '    const stored = state.asleep.get(config.name);',
        replace: "    const stored = state.asleep.get('');",
      },
    ],
  },
  {
    name: 'a value that is not configured keeps every reload out',
    rule: 19,
    by: 'core/reload.test.ts',
    edits: [
      {
        file: engine,
        find: 'if (has(next) || !has(r.config)',
        replace: 'if (has(next) || (!has(r.config) && r.config.targets.length > 99)',
      },
    ],
  },
  {
    name: 'a check that was red while the store failed is never red',
    rule: 29,
    by: 'controller.test.ts',
    edits: [
      {
        file: engine,
        find: `  for (const cs of state.checks.values()) if (cs.everFailed) put(out, \`red/\${cs.key}\`, true);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a fault in a reload ends the daemon',
    rule: 19,
    by: 'run/reload.test.ts',
    edits: [
      {
        file: 'src/run/reload.ts',
        find: 'return fault(log, error, inForceNow);',
        replace: 'throw error;',
      },
    ],
  },
  {
    name: 'a dry run of a reload is put in force',
    rule: 29,
    by: 'run/reload.test.ts',
    edits: [
      {
        file: 'src/run/reload.ts',
        find: `    if (dryRun) return replyOf(path, changes, wanted, swept === null ? 'may' : 'refused');
`,
        replace: '',
      },
    ],
  },
  {
    name: 'two reloads at once compare with the same',
    rule: 29,
    by: 'run/reload.test.ts',
    edits: [
      {
        file: 'src/run/reload.ts',
        find: 'last.then(() => reload(parts, how))',
        replace: 'reload(parts, how)',
      },
    ],
  },
  {
    name: 'patience waits out the old time after a reload',
    rule: 0,
    by: '110-cadence',
    edits: [
      {
        file: engine,
        find: `  arrange(state, out);
  for (const name of state.records.keys()) review(state, name, out);`,
        replace: '  arrange(state, out);',
      },
    ],
  },
  {
    name: "a pin that a marker tells of ends by the wall's clock",
    rule: 9,
    by: '112-clocks',
    edits: [
      {
        file: adopt,
        find: 'state.now + Math.min(m.pinMs',
        replace: 'state.wall + Math.min(m.pinMs',
      },
    ],
  },
  {
    name: "the length of a pin is counted from the wall's clock",
    rule: 9,
    by: '112-clocks',
    edits: [
      {
        file: switching,
        find: 'markerNumber(m.pinUntilAt - state.now)',
        replace: 'markerNumber(m.pinUntilAt - state.wall)',
      },
    ],
  },
  {
    name: 'a doubled marker is adopted',
    rule: 4,
    by: '114-held',
    edits: [
      {
        file: plan,
        find: `return s.kind === 'double' ? [\`\${p}: \${s.sentence}\`] : [];`,
        replace: "return s.kind === 'double' ? [] : [];",
      },
    ],
  },
  {
    name: 'a late write is excused for ever',
    rule: 14,
    by: '114-held',
    edits: [
      {
        file: cell,
        find: 'isAll(l.value) && state.now - l.at < LOST_MS',
        replace: 'isAll(l.value)',
      },
    ],
  },
  {
    name: 'an epoch is given out that is not committed',
    rule: 13,
    by: '113-words',
    edits: [
      {
        file: switching,
        find: `  if (!state.storeOk) {
    state.unmarked.add(r.name);
    return false;
  }
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a pin said while the store failed never reaches its marker',
    rule: 9,
    by: '113-words',
    edits: [
      {
        file: switching,
        find: `    state.unmarked.add(r.name);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'what a proxy refuses is taken for a lost write',
    rule: 15,
    by: 'providers/proxy.test.ts',
    edits: [
      {
        file: 'providers/kit/fault.ts',
        find: 'const [byProxy] = causes.flatMap((cause) => proxyTrouble(codeOf(cause)) ?? []);',
        replace: 'const [byProxy] = causes.flatMap(() => proxyTrouble("") ?? []);',
      },
    ],
  },
  {
    name: 'in a tunnel the vendor is not the one that is verified',
    rule: 21,
    by: 'providers/proxy.test.ts',
    edits: [
      {
        file: 'providers/kit/agents.ts',
        find: 'super.createConnection({ ...options, socket } as Opening)!',
        replace:
          'super.createConnection({ ...options, socket, checkServerIdentity: () => undefined } as Opening)!',
      },
    ],
  },
  {
    name: 'a zone that nobody delegates to is taken for the one that serves',
    rule: 24,
    by: 'providers/names.test.ts',
    edits: [
      {
        file: 'providers/kit/zone.ts',
        find: '    if (delegated.value || next.found === null) break;',
        replace: '    break;',
      },
    ],
  },
  {
    name: 'a name is written below name server records above it',
    rule: 4,
    by: 'providers/names.test.ts',
    edits: [
      {
        file: 'providers/route53.ts',
        find: '  const below = cut === undefined ? null : delegatedAt(cut, name);',
        replace: '  const below = cut === "" ? delegatedAt(cut, name) : null;',
      },
    ],
  },
  {
    name: 'a zone in a script of its own is not known by its name in DNS',
    rule: 0,
    by: 'providers/names.test.ts',
    edits: [
      {
        file: 'providers/kit/zone.ts',
        find: '  const plain = aLabels(text).replaceAll(',
        replace: '  const plain = text.replaceAll(',
      },
    ],
  },
  {
    name: 'a TTL that was changed waits for the next switch',
    rule: 16,
    by: '99-ttl',
    edits: [
      {
        file: plan,
        find: 'if (odd === undefined || wanted.keepTtl) return',
        replace: 'if (odd !== null) return',
      },
    ],
  },
  {
    name: 'a TTL that was changed is not looked at until something else is',
    rule: 19,
    by: '99-ttl',
    edits: [
      {
        file: arrange,
        find: 'if (cell.ttl !== ttl) retimed(state, r, cell, ttl, out);',
        replace: 'cell.ttl = ttl + 0 * [retimed].length;',
      },
    ],
  },
  {
    name: 'adopting by hand takes the word of DNS for a reading',
    rule: 26,
    by: '09-missing',
    edits: [
      {
        file: operate,
        find: 'const isRead = (cell: Cell) => cell.answeredAt > 0;',
        replace: 'const isRead = (cell: Cell) => cell !== null;',
      },
      {
        file: operate,
        find: 'const trouble = troubleAt(state, cell) ?? unread;',
        replace: 'const trouble = [troubleAt, state, unread].length > 3 ? "" : null;',
      },
    ],
  },
  {
    name: 'who could not be told is not asked for another key',
    rule: 28,
    by: 'run/renew.test.ts',
    edits: [
      {
        file: 'src/run/renew.ts',
        find: `      renewed.refused();
      throw error;`,
        replace: '      throw error;',
      },
    ],
  },
  {
    name: 'a key refused in an outage takes back who delegates',
    rule: 17,
    by: 'providers/by-zone.test.ts',
    edits: [
      {
        file: 'providers/kit/zone.ts',
        find: 'const before = told.ok ? told.value : this.#delegated.get(zone)?.isSo;',
        replace: 'const before = told.ok ? told.value : undefined;',
      },
    ],
  },
  {
    name: 'a change that came too late at Google is no conflict',
    rule: 14,
    by: 'providers/google.test.ts',
    edits: [
      {
        file: 'providers/google.ts',
        find: "['conditionNotMet', { kind: 'conflict', scope",
        replace: "['conditionNotMet', { kind: 'rejected', scope",
      },
    ],
  },
  {
    name: 'the token of another identity provider is read once for all',
    rule: 0,
    by: 'providers/google-keys.test.ts',
    edits: [
      {
        file: 'providers/kit/google-keys.ts',
        find: `    subject = subjectOf(file, context);
    const form`,
        replace: '    const form',
      },
    ],
  },
  {
    name: 'an `ack` that nobody waits for fills the budget',
    rule: 10,
    by: '37-truth',
    edits: [
      {
        file: operate,
        find: 'if (deposed === null && recent < r.config.switchesPerHour) {',
        replace: 'if (deposed === null && recent < 0) {',
      },
    ],
  },
  {
    name: 'a drain with an end never ends',
    rule: 0,
    by: '36-holds',
    edits: [
      {
        file: operate,
        find: 'if (!isOver(drained)) continue;',
        replace: "if (drained.what !== '') continue;",
      },
    ],
  },
  {
    name: 'the end of a drain is forgotten at a restart',
    rule: 12,
    by: '36-holds',
    edits: [
      {
        file: engine,
        find: '  if (!follows(state)) watchHolds(state);\n  const step',
        replace: '  const step',
      },
    ],
  },
  {
    name: 'the freeze of a record never ends',
    rule: 0,
    by: '36-holds',
    edits: [
      {
        file: steer,
        find: 'if (until === null || state.now < until) return;',
        replace: 'if (until === null || state.now > 0) return;',
      },
    ],
  },
  {
    name: 'a dry run of a drain drains',
    rule: 0,
    by: '36-holds',
    edits: [
      {
        file: operate,
        find: 'if (was === undefined) state.drains.delete(what);\n    else',
        replace: 'if (was !== undefined)',
      },
    ],
  },
  {
    name: 'a live stranger is overwritten without a reason',
    rule: 4,
    by: '38-foreign-value',
    edits: [
      {
        file: operate,
        find: "if (strange.length > 0 && reason === '') {",
        replace: "if (strange.length > 9 && reason === '') {",
      },
    ],
  },
  {
    name: 'an unfreeze of everything gives back the freezes of records',
    rule: 0,
    by: '37-truth',
    edits: [
      {
        file: operate,
        find: '  const was = state.freeze;\n  state.freeze = null;',
        replace:
          '  const was = state.freeze;\n  for (const r of own) amend(out, r, { freeze: null });\n  state.freeze = null;',
      },
    ],
  },
  {
    name: 'what a dry run is told of a pin it takes for good',
    rule: 9,
    by: '37-truth',
    edits: [
      {
        file: operate,
        find: '  const glance = outlook(state, [r]);\n  r.doc = kept;\n  if (c.dryRun === true) return foreseen(`would unpin',
        replace:
          '  const glance = outlook(state, [r]);\n  if (c.dryRun === true) return foreseen(`would unpin',
      },
    ],
  },
  {
    name: 'a reading that nobody has signed is believed',
    rule: 26,
    by: 'providers/faults.test.ts',
    edits: [
      {
        file: 'providers/kit/signed.ts',
        find: "    if (signature.kind === 'unsigned') return this.#unsigned(signature.rcode, question);\n",
        replace: '',
      },
    ],
  },
  {
    name: 'a reply signed with another key is believed',
    rule: 26,
    by: 'providers/faults.test.ts',
    edits: [
      {
        file: 'providers/kit/dns-update.ts',
        find: '  if (tsig.mac.length !== expected.length || !timingSafeEqual(tsig.mac, expected)) {',
        replace:
          '  if (tsig.mac.length !== expected.length && !timingSafeEqual(tsig.mac, tsig.mac)) {',
      },
    ],
  },
  {
    name: 'an update that is not given yet is called refused',
    rule: 15,
    by: 'providers/rfc2136-servers.test.ts',
    edits: [
      {
        file: 'providers/kit/rfc2136-writing.ts',
        find: 'const doubtMs = 60_000;',
        replace: 'const doubtMs = 0;',
      },
    ],
  },
  {
    name: 'a CNAME is deleted before another is added',
    rule: 1,
    by: 'providers/rfc2136-servers.test.ts',
    edits: [
      {
        file: 'providers/kit/rfc2136-writing.ts',
        find: '    updates.push(addRecord(name, typeCname, to.ttl, encodeName(to.cname)));',
        replace: `    updates.push(deleteSet(name, typeCname));
    updates.push(addRecord(name, typeCname, to.ttl, encodeName(to.cname)));`,
      },
    ],
  },
  {
    name: 'what a wildcard makes up is taken for a record',
    rule: 4,
    by: 'providers/rfc2136.test.ts',
    edits: [
      {
        file: 'providers/kit/rfc2136-reading.ts',
        find: '  const made = await madeUp(account, zone, doubtful, signal);',
        replace: '  const made = await madeUp(account, zone, doubtful.slice(0, 0), signal);',
      },
    ],
  },
  {
    name: 'a record of a nearer zone on the same server is written',
    rule: 4,
    by: 'providers/rfc2136.test.ts',
    edits: [
      {
        file: 'providers/kit/rfc2136-reading.ts',
        find: '    if (!isApex(soa.value, between)) continue;',
        replace: '    if (soa.ok) continue;',
      },
    ],
  },
  {
    name: 'a CNAME that a person has disabled is written over',
    rule: 4,
    by: 'providers/powerdns.test.ts',
    edits: [
      {
        file: 'providers/powerdns.ts',
        find: "        disabled(name, atHidden, 'CNAME') ??\n",
        replace: '',
      },
    ],
  },
  {
    name: 'a record below an NS set is written at PowerDNS',
    rule: 4,
    by: 'providers/powerdns.test.ts',
    edits: [
      {
        file: 'providers/powerdns.ts',
        find: "  if (types.includes('NS')) {",
        replace: "  if (types.includes('')) {",
      },
    ],
  },
  {
    name: 'a server of one’s own is judged by the whole NS set',
    rule: 24,
    by: 'config/config.test.ts',
    edits: [
      {
        file: 'providers/rfc2136.ts',
        find: '  ownServers: ({ server }) => [server],\n',
        replace: '',
      },
    ],
  },
  {
    name: 'who is told that it asks too often takes that for a pass',
    rule: 31,
    by: '120-asked-too-often',
    edits: [
      {
        file: watch,
        find: "  if (o.outcome === 'limited') return refused(state, cs, config, o, out);\n",
        replace: '',
      },
    ],
  },
  {
    name: 'what passes again by one path waits for the clocks of the others',
    rule: 31,
    by: 'core/rate.test.ts',
    edits: [
      {
        file: watch,
        find: "if (judged.verdict === 'down') return judged.all.every(isSame);",
        replace: "if (judged.verdict === 'down') return cs.recovery === 0;",
      },
    ],
  },
  {
    name: 'few paths have less to decide by',
    rule: 31,
    by: 'core/rate.test.ts',
    edits: [{ file: rate, find: 'ALLOWANCE_MIN = 24;', replace: 'ALLOWANCE_MIN = 12;' }],
  },
  {
    name: 'nothing bounds what doubt asks of a place',
    rule: 31,
    by: 'core/rate.test.ts',
    edits: [
      {
        file: rate,
        find: '  if (waitMs <= 0) rate.tokens--;\n',
        replace: '',
      },
    ],
  },
  {
    name: 'nothing bounds what ends of held connections ask of a place',
    rule: 31,
    by: 'core/ended.test.ts',
    edits: [
      {
        file: rate,
        find: '  rate.ended--;\n',
        replace: '',
      },
    ],
  },
  {
    name: 'who closes all the time is asked as much each time',
    rule: 31,
    by: 'core/ended.test.ts',
    edits: [
      {
        file: ended,
        find: '  return left >= VAIN_ENDS;',
        replace: '  return left < 0;',
      },
    ],
  },
  {
    name: 'the end of a held connection is looked into by no path but its own',
    rule: 0,
    by: 'core/ended.test.ts',
    edits: [
      {
        file: ended,
        find: 'const asked = few ? [voter]',
        replace: 'const asked = true ? [voter]',
      },
    ],
  },
  {
    name: 'a mass of ends is asked in the order in which it was told',
    rule: 31,
    by: 'core/ended.test.ts',
    edits: [
      {
        file: ended,
        find: '  return all.sort((a, b) => a.place - b.place);',
        replace: '  return all;',
      },
    ],
  },
  {
    name: 'what is held of a server stays open while its probes fail',
    rule: 31,
    by: 'probes/held.test.ts',
    edits: [
      {
        file: 'src/probes/held.ts',
        find: '    for (const one of held) one.letGo();\n',
        replace: '',
      },
    ],
  },
  {
    name: 'a connection is held that the server has said it closes',
    rule: 31,
    by: 'probes/held.test.ts',
    edits: [
      {
        file: 'src/probes/answer.ts',
        find: '[\\t ]*(?:,|$)/i.test(connection)) return 0;',
        replace: '[\\t ]*(?:,|$)/i.test(connection)) void 0;',
      },
    ],
  },
  {
    name: 'nothing bounds what doubt about others asks of a place',
    rule: 31,
    by: 'core/rate.test.ts',
    edits: [
      {
        file: rate,
        find: '  rate.witness--;\n',
        replace: '',
      },
    ],
  },
  {
    name: 'doubt that lasts uses up what a decision needs',
    rule: 31,
    by: 'core/rate.test.ts',
    edits: [
      {
        file: watch,
        find: 'return Math.max(0, KEPT_SHARE - found / h);',
        replace: 'return 0;',
      },
    ],
  },
  {
    name: 'a place that says for how long it wants peace gets none',
    rule: 31,
    by: 'core/rate.test.ts',
    edits: [
      {
        file: rate,
        find: 'Math.max(askedForMs, ownMs)',
        replace: 'ownMs',
      },
    ],
  },
  {
    name: 'a place that refuses everything is asked on and on',
    rule: 31,
    by: '121-bans',
    edits: [
      {
        file: rate,
        find: 'const ownMs = refusals < 2 ? 0 :',
        replace: 'const ownMs = refusals > 0 ? 0 :',
      },
    ],
  },
  {
    name: 'what refuses us counts as silent by the interval that it does not allow',
    rule: 31,
    by: '121-bans',
    edits: [
      {
        file: detect,
        find: 'return silentMs > 3 * slowedMs(state.rate, intervalMs, now) + timeoutMs;',
        replace: 'return silentMs > 0;',
      },
    ],
  },
  {
    name: 'what was down and now refuses us stays down',
    rule: 31,
    by: '122-down-and-banned',
    edits: [
      {
        file: detect,
        find: '  if (!isUp && isRefusing(state.rate)) return true;\n',
        replace: '',
      },
    ],
  },
  {
    name: 'a target is left that does not fail any more',
    rule: 3,
    by: '123-fresh-failure',
    edits: [
      {
        file: steer,
        find: 'const isLeft = !asksAgain || hasFreshFailure(state, c.from, c.sinceAt);',
        replace: 'const isLeft = hasFreshFailure !== undefined;',
      },
    ],
  },
  {
    name: 'one path that fails is enough to leave a target',
    rule: 3,
    by: '123-fresh-failure',
    edits: [
      {
        file: watch,
        find: "return verdict === 'down' && quorum(votes(groups, fresh), rule) === 'down';",
        replace:
          "return verdict === 'down' && votes(groups, fresh).includes('down') && rule !== null;",
      },
    ],
  },
  {
    name: '429 is a failure of the origin',
    rule: 31,
    by: 'probes/http.test.ts',
    edits: [
      {
        file: 'src/probes/http.ts',
        find: 'if (status === 429) return limited(',
        replace: 'if (status === 999) return limited(',
      },
    ],
  },
  {
    name: "a replica's switch to what is not configured here is taken with the lease",
    rule: 2,
    by: '119-deposed-elsewhere',
    edits: [
      {
        file: adopt,
        find: `  if (!r.config.targets.some((t) => t.origin === deposed.target)) return;
`,
        replace: '',
      },
    ],
  },
  {
    name: 'an adoption that could not be committed has claimed what stands there',
    rule: 4,
    by: '124-adopted-without-store',
    edits: [
      {
        file: operate,
        find: `  begin(state, r, c.target, 'operator', out);
`,
        replace: `  amend(out, r, { claims: Object.fromEntries([...r.cells.keys()].map((p) => [p, 'any'])) });
  begin(state, r, c.target, 'operator', out);
`,
      },
    ],
  },
  {
    name: 'a word that could not be committed is a tool that comes again',
    rule: 27,
    by: '125-a-word-without-store',
    edits: [
      {
        file: edits,
        find: `  switchTo(state, r, { to, sentence, ...how, pinUntilAt: untilAt }, out);
`,
        replace: `  wish(state, r, to, out);
  switchTo(state, r, { to, sentence, ...how, pinUntilAt: untilAt }, out);
`,
      },
    ],
  },
  {
    name: 'the same marker twice is not noticed by DNS',
    rule: 14,
    by: '126-one-marker-twice',
    edits: [
      {
        file: cell,
        find: 'markers !== null && markers.length !== 1',
        replace: 'markers !== null && markers.length === 0',
      },
    ],
  },
  {
    name: 'the right to act counts from when the keep-alive was answered',
    rule: 30,
    by: overEtcd,
    edits: [
      {
        file: coordinator,
        find: 'lease.until = Math.max(lease.until, sentAt + Math.min(renewed.value.ttlMs, ttlMs));',
        replace:
          'lease.until = Math.max(lease.until, elapsed() + Math.min(renewed.value.ttlMs, ttlMs));',
      },
    ],
  },
  {
    name: 'a leader of etcd that was deposed renews the right to act',
    rule: 30,
    by: overEtcd,
    edits: [
      {
        file: 'src/cluster/etcd.ts',
        find: `} else if (renewed.header.raftTerm === looked.header.raftTerm) {`,
        replace: `} else {`,
      },
    ],
  },
  {
    name: 'a commit does not compare the key of the lease',
    rule: 30,
    by: overEtcd,
    edits: [
      {
        file: groupLedger,
        find: `      { key: \`\${prefix}lease\`, target: 'create', revision: create },
`,
        replace: '',
      },
    ],
  },
  {
    name: 'a commit does not compare the head',
    rule: 30,
    by: overEtcd,
    edits: [
      {
        file: groupLedger,
        find: `      { key: \`\${prefix}head\`, target: 'mod', revision: mirror.headRevision },
`,
        replace: '',
      },
      { file: groupLedger, find: 'headRaw === null ?', replace: 'true ?' },
    ],
  },
  {
    name: 'a commit whose outcome is not known is taken for a good one',
    rule: 15,
    by: overEtcd,
    edits: [
      {
        file: groupLedger,
        find: `  return { kind: 'unknown', why };`,
        replace: `  return why === '' ? { kind: 'unknown', why } : { kind: 'committed', revision: 0 };`,
      },
    ],
  },
  {
    name: 'a lost reply is taken for a refusal, though the commit was made',
    rule: 15,
    by: overEtcd,
    edits: [
      {
        file: groupLedger,
        find: '  if (head && isOurs(planned, head, seal)) {',
        replace: `  if (head && isOurs(planned, head, seal) && head.lease !== '0') {`,
      },
    ],
  },
  {
    name: 'whoever takes over begins while another may still believe that he acts',
    rule: 30,
    by: overEtcd,
    edits: [
      {
        file: coordinator,
        find: `    if (this.#before.length > 0 || this.#flight !== null) return;
    if`,
        replace: '    if',
      },
    ],
  },
  {
    name: 'a document that was put back is believed',
    rule: 30,
    by: overEtcd,
    edits: [
      {
        file: mirror,
        find: '    if (this.#digest === this.#head.digest) return null;',
        replace: '    if (this.#digest !== null) return null;',
      },
    ],
  },
  {
    name: 'one document stands for another',
    rule: 30,
    by: 'cluster/sealed.test.ts',
    edits: [
      {
        file: sealed,
        find: `purpose, key, \`\${term}\`, \`\${number}\`, text];`,
        replace: `purpose, \`\${term}\`, \`\${number}\`, text];`,
      },
    ],
  },
  {
    name: 'an order that was done and forgotten is done again',
    rule: 30,
    by: overEtcd,
    edits: [
      {
        file: coordinator,
        find: 'const isDone = number <= floor || this',
        replace: 'const isDone = this',
      },
    ],
  },
  {
    name: `documents come in another replica's time`,
    rule: 12,
    by: overEtcd,
    edits: [
      {
        file: coordinator,
        find: 'return shifted(key, this.#mirror.document(key), this.#shift ?? 0);',
        replace: 'return shifted(key, this.#mirror.document(key), 0);',
      },
    ],
  },
  {
    name: 'a restored group goes on with the terms it had',
    rule: 30,
    by: overEtcd,
    edits: [
      {
        file: restore,
        find: 'const base = means.term + TERMS_ON;',
        replace: 'const base = 0;',
      },
    ],
  },
  {
    name: 'an etcd that was put back to an earlier time is not noticed',
    rule: 30,
    by: overEtcd,
    edits: [
      {
        file: coordinator,
        find: '  const { clusterId, revision, number } = memory;',
        replace:
          '  const { clusterId, revision, number } = memory;\n  if (number >= 0) return null;',
      },
      {
        file: coordinator,
        find: '  if (head === null) return memory.number > 0;',
        replace: '  if (memory.number >= 0) return false;\n  if (head === null) return true;',
      },
    ],
  },
  {
    name: 'what a replica says is believed without its MAC',
    rule: 30,
    by: 'cluster/session.test.ts',
    edits: [
      {
        file: session,
        find: 'if (!isMac(frame.subarray(0, MAC_BYTES), mac)) return null;',
        replace: 'if (!isMac(frame.subarray(0, MAC_BYTES), mac)) this.#heard += 0;',
      },
    ],
  },
  {
    name: 'the MAC between replicas leaves the number out',
    rule: 30,
    by: 'cluster/session.test.ts',
    edits: [
      {
        file: session,
        find: 'const mac = macOf(this.#out, numbered(++this.#sent), body);',
        replace: 'const mac = macOf(this.#out, numbered(++this.#sent * 0), body);',
      },
      {
        file: session,
        find: 'const mac = macOf(this.#in, numbered(this.#heard + 1), body);',
        replace: 'const mac = macOf(this.#in, numbered(0), body);',
      },
    ],
  },
  {
    name: 'a session between replicas has no nonce of the listener in its keys',
    rule: 30,
    by: 'cluster/session.test.ts',
    edits: [
      {
        file: session,
        find: 'const transcript = fields([...said, ours]);\n  const tag',
        replace: "const transcript = fields([...said, '']);\n  const tag",
      },
      {
        file: session,
        find: 'const transcript = fields([...said, theirs]);',
        replace: "const transcript = fields([...said, '']);",
      },
    ],
  },
  {
    name: 'both directions between replicas have one key',
    rule: 30,
    by: 'cluster/session.test.ts',
    edits: [
      {
        file: session,
        find: 'const of = (from: string) =>',
        replace: "const of = (_: string, from = '') =>",
      },
    ],
  },
  {
    name: 'what is told between replicas counts as said when it came',
    rule: 30,
    by: 'cluster/eyes.test.ts',
    edits: [
      {
        file: line,
        find: 'this.#hearing?.letter(letter, Math.min(now, sentAt + heldMs));',
        replace: 'this.#hearing?.letter(letter, now);',
      },
    ],
  },
  {
    name: 'a replica makes what it says younger by a lie about the holding',
    rule: 30,
    by: 'cluster/eyes.test.ts',
    edits: [
      {
        file: line,
        find: 'this.#hearing?.letter(letter, Math.min(now, sentAt + heldMs));',
        replace: 'this.#hearing?.letter(letter, sentAt + heldMs);',
      },
    ],
  },
  {
    name: 'a replica that is cut off keeps its votes',
    rule: 30,
    by: 'cluster/eyes.test.ts',
    edits: [
      {
        file: eyes,
        find: 'if (!this.#isUnheard) this.#silent();',
        replace: 'this.#isUnheard = true;',
      },
    ],
  },
  {
    name: 'tellings queue up for a slow reader',
    rule: 22,
    by: 'cluster/eyes.test.ts',
    edits: [
      {
        file: eyes,
        find: 'if (letters >= UNANSWERED_LETTERS || bytes >= UNANSWERED_BYTES) this.#isOwed = true;',
        replace: 'if (letters >= 1e9 || bytes >= 1e9) this.#isOwed = true;',
      },
    ],
  },
  {
    name: "a letter tells of a path that is another's",
    rule: 30,
    by: 'cluster/letter.test.ts',
    edits: [
      {
        file: letter,
        find: 'return isText(value) && value.startsWith(',
        replace: 'return isText(value) && isText(',
      },
    ],
  },
  {
    name: 'strangers sit where replicas come in, as many as like',
    rule: 22,
    by: 'cluster/eyes.test.ts',
    edits: [
      {
        file: door,
        find: 'if (this.#guests.size > SEATS) this.#longest().socket.destroy();',
        replace: 'if (this.#guests.size > SEATS * 1000) this.#longest().socket.destroy();',
      },
    ],
  },
  {
    name: 'a group of paths votes once for each replica that goes by it',
    rule: 30,
    by: '133-one-says',
    edits: [
      {
        file: watched,
        find: '    const { group } = voter.way;\n',
        replace: "    const group = (voter.way.replica?.name ?? '') + voter.way.group;\n",
      },
    ],
  },
  {
    name: 'what another replica said counts however old it is',
    rule: 30,
    by: '133-one-says',
    edits: [
      {
        file: heard,
        find: '  return isStale(cs, config, verdict, state.now);',
        replace: '  return isStale(cs, config, verdict, -1);',
      },
    ],
  },
  {
    name: 'the votes of a replica that vanished stay',
    rule: 30,
    by: '132-vanishing',
    edits: [
      {
        file: heard,
        find: '  if (!isSame || !of.heard) mute(cs);',
        replace: '  if (!isSame) mute(cs);',
      },
      {
        file: judge,
        find: 'return !suspect && !blind && (replica === null || replica.heard);',
        replace: 'return !suspect && !blind && replica !== undefined;',
      },
    ],
  },
  {
    name: 'the age of what another replica said runs from when it was received',
    rule: 30,
    by: '133-one-says',
    edits: [
      {
        file: heard,
        find: 'Number.isFinite(saidAt) ? Math.min(state.now, saidAt) : -1',
        replace: 'Number.isFinite(saidAt) ? state.now : -1',
      },
    ],
  },
  {
    name: 'a replica that says that it is blind votes',
    rule: 30,
    by: '133-one-says',
    edits: [
      {
        file: heard,
        find: 'said === undefined || said.blind || telling.blind',
        replace: 'said === undefined || said.blind',
      },
    ],
  },
  {
    name: 'a check that another replica defines otherwise has its vote',
    rule: 30,
    by: '133-one-says',
    edits: [
      { file: heard, find: '  return s.hash === hash;', replace: '  return hash !== s.check;' },
    ],
  },
  {
    name: 'what was heard before a pause counts after it',
    rule: 8,
    by: '132-vanishing',
    edits: [{ file: watch, find: '  forgetOthers(state, out);\n', replace: '' }],
  },
  {
    name: 'a call makes a call',
    rule: 31,
    by: '135-take-over',
    edits: [
      {
        file: watch,
        find: '  const called = isForOthers(cs, o) ? null : out;',
        replace: '  const called = isForOthers(cs, o) && false ? null : out;',
      },
      {
        file: watch,
        find: '  if (state.eyes !== null && called !== null && isNew) callToConfirm',
        replace: '  if (state.eyes !== null && called !== null) callToConfirm',
      },
    ],
  },
  {
    name: 'whoever calls without end is answered without end',
    rule: 31,
    by: 'core/liar.test.ts',
    edits: [
      {
        file: watch,
        find: '  if (waitForExtraMs(cs.rate, keep, state.now) > 0) return;\n',
        replace: '  waitForExtraMs(cs.rate, keep, state.now);\n',
      },
    ],
  },
  {
    name: 'each replica asks an origin as often as all together may',
    rule: 31,
    by: 'core/shared.test.ts',
    edits: [
      {
        file: watched,
        find: 'set === undefined ? null : set / sharers',
        replace: 'set === undefined ? null : set',
      },
    ],
  },
  {
    name: 'a definition that is not most replicas’ is acted on',
    rule: 30,
    by: '134-definitions',
    edits: [
      {
        file: agreeing,
        find: '  if (2 * same.length > all.length) return null;',
        replace: '  if (same.length > 0) return null;',
      },
    ],
  },
  {
    name: 'whoever acts by a definition that most have not does not hand over',
    rule: 30,
    by: '134-definitions',
    edits: [
      {
        file: agreeing,
        find: '  if (eyes.minority === null || !state.lease.held) return;',
        replace: '  if (eyes.minority !== null || !state.lease.held) return;',
      },
    ],
  },
  {
    name: 'evidence of the other turn is told as if it were this one’s',
    rule: 30,
    by: 'core/shared.test.ts',
    edits: [
      {
        file: tell,
        find: "    evidence: verdict === 'down' && isOver ? 0 : round(cs.evidence),",
        replace: "    evidence: verdict === 'down' ? 0 : round(cs.evidence),",
      },
      {
        file: tell,
        find: "    recovery: verdict !== 'down' && isOver ? 0 : round(cs.recovery),",
        replace: "    recovery: verdict !== 'down' ? 0 : round(cs.recovery),",
      },
    ],
  },
  {
    name: 'a lease that an etcd of an earlier time does not know counts as gone',
    rule: 30,
    by: overEtcd,
    edits: [
      {
        file: coordinator,
        find: 'return got.header.clusterId === clusterId && got.header.revision >= revision;',
        replace: "return clusterId !== '' && revision >= 0;",
      },
    ],
  },
  {
    name: 'a restoration that is said twice is done twice',
    rule: 30,
    by: overEtcd,
    edits: [
      {
        file: coordinator,
        find: 'this.#restoring ??= this.#restore(docs)',
        replace: 'this.#restoring = this.#restore(docs)',
      },
    ],
  },
  {
    name: 'a write goes out before the group has what it rests on',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `    if (stands.includes('waits')) return false;
`,
        replace: ``,
      },
    ],
  },
  {
    name: 'a write goes out that another decision has overtaken in the group',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `    if (stands.includes('stale')) return this.#unsent(e, 'another marker is in force by now');
`,
        replace: ``,
      },
    ],
  },
  {
    name: 'a switch is told of before the group has it',
    rule: 29,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `(effect.kind === 'notify' || effect.kind === 'hook') && committed && changed`,
        replace: `effect.kind === 'hook' && committed && changed`,
      },
    ],
  },
  {
    name: 'a write is begun with too little of the lease left',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `    if (leftMs >= Math.min(AUTHORITY_MS, e.deadlineMs)) {`,
        replace: `    if (leftMs > 0) {`,
      },
    ],
  },
  {
    name: 'the deadline of a write outlasts the lease',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `      this.#write(e, Math.min(e.deadlineMs, leftMs));`,
        replace: `      this.#write(e, e.deadlineMs);`,
      },
    ],
  },
  {
    name: 'what a deposed replica had not committed stays in force there',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `    this.#step({ kind: 'learnt', docs: hands.ledger.docs(), whole: true });
`,
        replace: ``,
      },
    ],
  },
  {
    name: 'what the group refused stays in force',
    rule: 13,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `    this.#step({ kind: 'learnt', docs, whole: false });
    this.#letGo(hands, why, true);`,
        replace: `    this.#letGo(hands, why, true);`,
      },
    ],
  },
  {
    name: 'an order that is told twice is done twice',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `    const known = hands.orders.get(id);
    if (known !== undefined) {`,
        replace: `    const known = hands.orders.get(id);
    if (known !== undefined && id === '') {`,
      },
    ],
  },
  {
    name: 'a group in which nothing was shared yet takes everything away',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `    if (isNew) {
      if (whole) hands.isNew = true;
      return;
    }
`,
        replace: ``,
      },
    ],
  },
  {
    name: 'whoever hands over does not wait for its own writes',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `(this.#writing > 0 || !hands.ledger.isIdle)`,
        replace: `!hands.ledger.isIdle`,
      },
    ],
  },
  {
    name: 'a write that was never sent is a failure of its lane',
    rule: 24,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: engine,
        find: `      if (event.unsent !== undefined) {`,
        replace: `      if (event.unsent === '') {`,
      },
    ],
  },
  {
    name: 'a replica that does not act plans writes',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: cell,
        find: `  if (follows(state)) return watched(state, r, cell);
  const wanted`,
        replace: `  const wanted`,
      },
    ],
  },
  {
    name: 'a replica that does not act tells of records',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: notices,
        find: `  return follows(state) && about.kind !== 'store' && about.kind !== 'group';`,
        replace: `  return state.steps < 0 && about.kind !== 'store' && about.kind !== 'group';`,
      },
    ],
  },
  {
    name: 'what the group no longer has comes back with a replica that was away',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: follow,
        find: `  if (whole) for (const key of known(state)) if (!said.has(key)) said.set(key, null);
`,
        replace: `  if (whole) known(state);
`,
      },
    ],
  },
  {
    name: 'more goes into one transaction than the group takes',
    rule: 22,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: ledgerFile,
        find: `const DOCS_MAX = 100;`,
        replace: `const DOCS_MAX = 1_000;`,
      },
    ],
  },
  {
    name: 'what is under way counts as committed',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: ledgerFile,
        find: `    for (const { first } of this.#sent?.docs.values() ?? []) if (first <= count) return false;
`,
        replace: ``,
      },
    ],
  },
  {
    name: "an order is answered before all that it did is the group's",
    rule: 29,
    by: 'core/ledger.test.ts',
    edits: [
      {
        file: ledgerFile,
        find: `this.#done.filter(({ after }) => after < oldest)`,
        replace: `this.#done.filter(({ after }) => after < oldest || after > 0)`,
      },
    ],
  },
  {
    name: "a released name's epoch and its record go apart",
    rule: 1,
    by: 'core/ledger.test.ts',
    edits: [
      {
        file: ledgerFile,
        find: `  return name === undefined ? [key] : [\`record/\${name}\`, \`epoch/\${name}\`];`,
        replace: `  return name === undefined ? [key] : [key];`,
      },
    ],
  },
  {
    name: 'a way out that every replica has for itself is one vote of all',
    rule: 30,
    by: 'config/config.test.ts',
    edits: [
      {
        file: 'src/config/paths.ts',
        find: `  if (spec.kind !== 'direct') return;
  const message = "leaves`,
        replace: `  if (spec.name !== '') return;
  const message = "leaves`,
      },
    ],
  },
  {
    name: 'a replica votes about the cloud it sits in',
    rule: 30,
    by: 'config/group.test.ts',
    edits: [
      {
        file: 'src/config/paths.ts',
        find: 'cloud = own.cloud } = given;',
        replace: 'cloud } = given;',
      },
    ],
  },
  {
    name: 'replicas that share a site are two votes',
    rule: 30,
    by: 'config/group.test.ts',
    edits: [
      {
        file: 'src/config/paths.ts',
        find: 'const { site = own.site, uplink',
        replace: 'const { site, uplink',
      },
    ],
  },
  {
    name: 'a group signs nothing and is taken all the same',
    rule: 25,
    by: 'config/config.test.ts',
    edits: [
      {
        file: 'src/config/group.ts',
        find: "if (has('group') && !has('clusterKey')) {",
        replace: "if (has('group') && has('clusterKey') && false) {",
      },
    ],
  },
  {
    name: 'two replicas may have one address',
    rule: 30,
    by: 'config/config.test.ts',
    edits: [
      {
        file: 'src/config/group.ts',
        find: 'if (twin === undefined) taken.set(key, name);',
        replace: 'if (twin !== null) taken.set(key, name);',
      },
    ],
  },
  {
    name: 'a reload may change who the replicas are',
    rule: 30,
    by: 'config/group.test.ts',
    edits: [
      {
        file: 'src/config/changes.ts',
        find: `  if (changed.length === 0) return null;
  const cure`,
        replace: `  if (changed.length < 9) return null;
  const cure`,
      },
    ],
  },
  {
    name: 'what a check asks is no part of its definition',
    rule: 30,
    by: 'config/group.test.ts',
    edits: [
      {
        file: 'src/config/hash.ts',
        find: '{ ...is, detector, asked: asked(id) }',
        replace: '{ ...is, detector }',
      },
    ],
  },
  {
    name: "a record's definition leaves out what decides on it",
    rule: 30,
    by: 'config/group.test.ts',
    edits: [
      {
        file: 'src/config/hash.ts',
        find: 'is: originOf(origins[t.origin]!, checks) }',
        replace: 'is: null }',
      },
    ],
  },
  {
    name: 'where a secret lies makes another definition',
    rule: 30,
    by: 'config/group.test.ts',
    edits: [
      {
        file: 'src/config/hash.ts',
        find: `if (isSecret && typeof first![1] === 'string') return '"a secret"';
`,
        replace: '',
      },
    ],
  },
  {
    name: 'the order of keys makes another definition',
    rule: 30,
    by: 'config/group.test.ts',
    edits: [
      { file: 'src/config/hash.ts', find: 'pairs.toSorted().join()', replace: 'pairs.join()' },
    ],
  },
  {
    name: 'a replica leaves by the paths of the others',
    rule: 30,
    by: 'config/group.test.ts',
    edits: [
      {
        file: 'src/config/config.ts',
        find: '({ replica }) => group === null || replica === group.self);',
        replace: '({ replica }) => group === null || replica !== null);',
      },
    ],
  },
  {
    name: 'whoever is in the minority goes on acting',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `          if (this.#hands !== null) void this.#handOver(this.#hands);
        });`,
        replace: `        });`,
      },
    ],
  },
  {
    name: 'what another replica should look at is not asked for',
    rule: 6,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `        return this.#world.eyes?.call(effect.checks, effect.why);`,
        replace: `        return;`,
      },
    ],
  },
  {
    name: "what a replica says of another's path is a vote",
    rule: 30,
    by: '133-one-says',
    edits: [
      {
        file: heard,
        find: 'if (cs === undefined || cs.hearsay?.of !== one) continue;',
        replace: 'if (cs === undefined || cs.hearsay === null) continue;',
      },
    ],
  },
  {
    name: 'documents of a Kubernetes group are updated blindly',
    rule: 30,
    by: 'cluster/kubernetes.test.ts',
    edits: [
      {
        file: kubeDocuments,
        find: `await api.put(place, withData(place, this.#object!, changes), CALL_MS)`,
        replace: `await api.put(
      place,
      ((next) => ({ ...next, metadata: { name: next.metadata.name } }))(
        withData(place, this.#object!, changes),
      ),
      CALL_MS,
    )`,
      },
    ],
  },
  {
    name: 'a deposed one writes over the head of its successor',
    rule: 30,
    by: 'cluster/kubernetes.test.ts',
    edits: [
      {
        file: kubeDocuments,
        find: `if (this.#problem !== null || this.#opened?.raw !== raw) return overtaken(this.#problem);`,
        replace: `if (this.#problem !== null || this.#opened === null) return overtaken(this.#problem);`,
      },
      {
        file: kubernetes,
        find: `head !== undefined && head > this.#term`,
        replace: `head === 0`,
      },
    ],
  },
  {
    name: 'a Lease gives a term that was given before',
    rule: 30,
    by: 'cluster/kubernetes.test.ts',
    edits: [
      {
        file: kubeOffice,
        find: `if (term <= Math.max(documents.known.term, opened.shelf?.term ?? 0)) {`,
        replace: `if (term < 0) {`,
      },
    ],
  },
  {
    name: "a Lease is free when its holder's clock says so",
    rule: 30,
    by: 'cluster/kubernetes.test.ts',
    edits: [
      {
        file: kubeLease,
        find: `return sight.since + sight.forMs;`,
        replace: `return Date.parse(textOf(specOf(sight.object)['renewTime'])) + sight.forMs;`,
      },
    ],
  },
  {
    name: 'authority by a Lease is counted from the reply',
    rule: 30,
    by: 'cluster/kubernetes.test.ts',
    edits: [
      {
        file: kubeLease,
        find: `isOurs ? { uid, transitions, sentAt } : null`,
        replace: `isOurs ? { uid, transitions, sentAt: this.#options.elapsed() } : null`,
      },
    ],
  },
  {
    name: 'a Lease that was made anew is taken for the old one',
    rule: 30,
    by: 'cluster/kubernetes.test.ts',
    edits: [
      {
        file: kubeDocuments,
        find: `if (this.#lease !== null && shelf.lease !== this.#lease.uid) {`,
        replace: `if (shelf.lease === '') {`,
      },
    ],
  },
  {
    name: 'documents that were put back to an earlier number are believed',
    rule: 30,
    by: 'cluster/kubernetes.test.ts',
    edits: [
      {
        file: kubeDocuments,
        find: `if (shelf.number < known.number || shelf.term < known.term) {`,
        replace: `if (shelf.number < 0) {`,
      },
    ],
  },
  {
    name: 'a commit over a Lease whose reply was lost is taken for made',
    rule: 15,
    by: 'cluster/kubernetes.test.ts',
    edits: [
      {
        file: kubeDocuments,
        find: `if (answer.word === 'uncertain') mayBeDone = true;`,
        replace: `if (answer.word === 'uncertain') return { kind: 'written' };`,
      },
    ],
  },
  {
    name: 'an order by a Secret that was done and comes again is done again',
    rule: 30,
    by: 'cluster/kubernetes.test.ts',
    edits: [
      {
        file: kubeOffice,
        find: `done.has(id) ||
      number < floor ||`,
        replace: ``,
      },
    ],
  },
  {
    name: 'whoever remembers the group does not tell those who do not',
    rule: 30,
    by: 'cluster/kubernetes.test.ts',
    edits: [
      {
        file: kubernetes,
        find: `if (doubt !== null) await this.#documents.raise(doubt);`,
        replace: `if (doubt === null) await this.#documents.refresh();`,
      },
    ],
  },
  {
    name: 'while a round waits for a slow etcd the lease is not renewed',
    rule: 30,
    by: overEtcd,
    edits: [
      {
        file: coordinator,
        find: 'if (this.#lease !== null) void this.#renew();',
        replace: '',
      },
    ],
  },
  {
    name: 'a token that etcd waits for is never replaced',
    rule: 30,
    by: 'cluster/gateway.test.ts',
    edits: [
      {
        file: 'src/cluster/gateway.ts',
        find: "if ('fault' in tried) this.#suspect();",
        replace: '',
      },
    ],
  },
  {
    name: 'what is seen goes to the group’s log as well',
    rule: 30,
    by: 'core/ledger.test.ts',
    edits: [
      {
        file: 'src/core/ledger.ts',
        find: 'entries.filter(isDecision)',
        replace: 'entries',
      },
    ],
  },
  {
    name: 'where a restoration led that nobody heard of is forgotten',
    rule: 30,
    by: 'cluster/etcd.test.ts',
    edits: [
      {
        file: 'src/cluster/etcd.ts',
        find: 'aimed: before.aimed,',
        replace: 'aimed: null,',
      },
      {
        file: 'src/cluster/etcd.ts',
        find: 'this.#memory = { ...this.#memory, aimed: next };',
        replace: '',
      },
    ],
  },
  {
    name: 'whoever missed a restoration goes on under his term of before',
    rule: 30,
    by: 'cluster/etcd.test.ts',
    edits: [
      {
        file: 'src/cluster/etcd.ts',
        find: 'head !== null && head.base > this.#held.base',
        replace: 'head !== null && head.base < this.#held.base',
      },
    ],
  },
  {
    name: 'a restoration begins whose aim could not be kept',
    rule: 30,
    by: 'cluster/etcd.test.ts',
    edits: [
      {
        file: restore,
        find: 'if (!means.aim({ base, number })) {',
        replace: 'if (!means.aim({ base, number }) && number < 0) {',
      },
    ],
  },
  {
    name: 'documents that were all taken away come back with whoever was not there',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: 'src/controller.ts',
        find: 'if (isNew) {',
        replace: 'if (isNew || docs.length === 0) {',
      },
    ],
  },
  {
    name: 'that documents were shared is forgotten with the last of them',
    rule: 30,
    by: 'cluster/etcd.test.ts',
    edits: [
      {
        file: 'src/cluster/ledger.ts',
        find: 'batch.docs.length > 0 || (mirror.head?.shared ?? false)',
        replace: 'batch.docs.length > 0',
      },
    ],
  },
  {
    name: 'the API does whatever a token asks, whatever its role',
    rule: 0,
    by: 'serve/api.test.ts',
    edits: [
      {
        file: 'src/serve/routes.ts',
        find: 'if (caller !== null && !caller.may(operation.role)) {',
        replace: 'if (caller !== null && operation.role === undefined) {',
      },
    ],
  },
  {
    name: 'a token that may approve may give any order',
    rule: 0,
    by: 'serve/api.test.ts',
    edits: [
      {
        file: 'src/serve/routes.ts',
        find: "!wordsOfApproval.has(kind) && !caller.may('operate')",
        replace: "!wordsOfApproval.has(kind) && !caller.may('approve')",
      },
    ],
  },
  {
    name: 'the API answers to any header Host',
    rule: 0,
    by: 'serve/api.test.ts',
    edits: [
      {
        file: 'src/serve/api.ts',
        find: 'return isOurs ? null :',
        replace: "return isOurs || host !== '' ? null :",
      },
    ],
  },
  {
    name: 'by a cookie an order is carried out whoever’s page has sent it',
    rule: 0,
    by: 'serve/page.test.ts',
    edits: [
      {
        file: 'src/serve/api.ts',
        find: "if (!found.isOurs && request.method !== 'GET')",
        replace: "if (!found.isOurs && request.method === 'PUT')",
      },
    ],
  },
  {
    name: 'a page of another site that knows the word may give an order',
    rule: 0,
    by: 'serve/page.test.ts',
    edits: [
      {
        file: 'src/serve/sessions.ts',
        find: "if (isForeign(request) || typeof said !== 'string') return false;",
        replace: "if (typeof said !== 'string') return false;",
      },
    ],
  },
  {
    name: 'a session outlives the token that it was begun with',
    rule: 20,
    by: 'serve/page.test.ts',
    edits: [
      {
        file: 'src/serve/sessions.ts',
        find: 'this.#tokens().still(session.hash);',
        replace: '(this.#first ??= this.#tokens()).still(session.hash);',
      },
      {
        file: 'src/serve/sessions.ts',
        find: '  readonly #now: () => number;',
        replace: '  #first: Tokens | null = null;\n  readonly #now: () => number;',
      },
    ],
  },
  {
    name: 'the plain page names who holds what',
    rule: 0,
    by: 'serve/page.test.ts',
    edits: [
      {
        file: 'src/serve/plain-page.ts',
        find: 'createFeed({ ...options, names: false })',
        replace: 'createFeed({ ...options, names: true })',
      },
    ],
  },
  {
    name: 'the history of the plain page says what people have typed',
    rule: 0,
    by: 'serve/page.test.ts',
    edits: [
      {
        file: 'src/serve/board.ts',
        find: 'return { ...entryOf(e, false),',
        replace: 'return { ...entryOf(e, true),',
      },
    ],
  },
  {
    name: 'the plain page answers to any header Host though it is not public',
    rule: 0,
    by: 'serve/page.test.ts',
    edits: [
      {
        file: 'src/serve/plain-page.ts',
        find: 'if (!isPublic && !isOfThisMachine(request)) {',
        replace: 'if (!isPublic && request.url === undefined) {',
      },
    ],
  },
  {
    name: 'the plain page is there wherever the listener is',
    rule: 0,
    by: 'serve/page.test.ts',
    edits: [
      {
        file: 'src/serve/plain-page.ts',
        find: "(page === 'local' && isLoopback(host))",
        replace: "(page === 'local' && (isLoopback(host) || host !== ''))",
      },
    ],
  },
  {
    name: 'a page that was let in looks on when it may no longer',
    rule: 0,
    by: 'serve/feed.test.ts',
    edits: [
      {
        file: 'src/serve/feed.ts',
        find: 'if (isBehind || !may()) response.destroy();',
        replace: 'if (isBehind) response.destroy();',
      },
    ],
  },
  {
    name: 'a page that does not take what is sent is sent more and more',
    rule: 22,
    by: 'serve/feed.test.ts',
    edits: [
      {
        file: 'src/serve/feed.ts',
        find: 'if (isBehind || !may()) response.destroy();',
        replace: 'if (!may()) response.destroy();',
      },
    ],
  },
  {
    name: 'a token is known by its first characters',
    rule: 20,
    by: 'serve/api.test.ts',
    edits: [
      {
        file: 'src/serve/tokens.ts',
        find: 'const hash = hashOf(text);',
        replace: 'const hash = hashOf(text.slice(0, 8));',
      },
      {
        file: 'src/serve/tokens.ts',
        find: 'still(hashOf(presented))',
        replace: 'still(hashOf(presented.slice(0, 8)))',
      },
    ],
  },
  {
    name: 'whoever is refused is told so for ever',
    rule: 22,
    by: 'serve/api.test.ts',
    edits: [
      {
        file: 'src/serve/meter.ts',
        find: 'if (bucket.left < 1) return false;',
        replace: 'if (bucket.left < 1) return true;',
      },
    ],
  },
  {
    name: 'one address uses up what all addresses have together',
    rule: 24,
    by: 'serve/api.test.ts',
    edits: [
      {
        file: 'src/serve/meter.ts',
        find: 'return draw(bucket, each, at) && draw(this.#all, all, at);',
        replace: 'return draw(this.#all, all, at) && draw(bucket, each, at);',
      },
    ],
  },
  {
    name: 'a request has a body of any length',
    rule: 22,
    by: 'serve/api.test.ts',
    edits: [
      {
        file: 'src/serve/bounded.ts',
        find: "if (Number(request.headers['content-length'] ?? 0) > most) return null;",
        replace: '',
      },
      { file: 'src/serve/bounded.ts', find: 'if (size > most) return null;', replace: '' },
    ],
  },
  {
    name: 'whoever comes too often is let in',
    rule: 22,
    by: 'serve/api.test.ts',
    edits: [
      {
        file: 'src/serve/bounded.ts',
        find: 'if (!door.admits(socket) || !seats.take(socket))',
        replace: 'if (!seats.take(socket))',
      },
    ],
  },
  {
    name: 'one address takes all connections',
    rule: 24,
    by: 'serve/api.test.ts',
    edits: [
      {
        file: 'src/serve/bounded.ts',
        find: 'if (!this.#hasRoomAt(seat.address)) return false;',
        replace: '',
      },
    ],
  },
  {
    name: 'an order of one daemon that is said twice is done twice',
    rule: 0,
    by: 'serve/api.test.ts',
    edits: [
      {
        file: 'src/serve/once.ts',
        find: 'if (known !== undefined) {',
        replace: "if (known !== undefined && known.said === '') {",
      },
    ],
  },
  {
    name: 'another order under the same id is taken for the first',
    rule: 0,
    by: 'serve/api.test.ts',
    edits: [
      {
        file: 'src/serve/once.ts',
        find: 'return known.said === said ? known.reply',
        replace: "return known.said !== '' ? known.reply",
      },
    ],
  },
  {
    name: 'to open a link does what it is for',
    rule: 0,
    by: 'serve/press.test.ts',
    edits: [
      {
        file: 'src/serve/press.ts',
        find: '  const view = await options.desk.status();',
        replace:
          '  await options.desk.command(wordOf(link), link.id);\n  const view = await options.desk.status();',
      },
    ],
  },
  {
    name: 'a link is used as often as one likes',
    rule: 0,
    by: 'serve/press.test.ts',
    edits: [
      {
        file: 'src/serve/press.ts',
        find: '  used.set(useOf(link), link.expiresWall);\n',
        replace: '',
      },
    ],
  },
  {
    name: 'a link outlives its decision',
    rule: 0,
    by: 'serve/press.test.ts',
    edits: [
      {
        file: 'src/serve/link.ts',
        find: 'if (nowWall >= expiresWall)',
        replace: 'if (nowWall < 0)',
      },
    ],
  },
  {
    name: 'a link that nobody signed is believed',
    rule: 25,
    by: 'serve/press.test.ts',
    edits: [
      {
        file: 'src/serve/link.ts',
        find: 'timingSafeEqual(macOf(key, said), given);',
        replace: 'macOf(key, said).length === given.length;',
      },
    ],
  },
  {
    name: 'an approval is there for a second switch',
    rule: 0,
    by: '140-approve',
    edits: [{ file: switching, find: `    approval: null,\n`, replace: '' }],
  },
  {
    name: 'an approval outlives the change of the target that is proposed',
    rule: 0,
    by: '141-approve-ends',
    edits: [
      {
        file: approve,
        find: 'const isSame = a.to === d.to && a.why === d.why;',
        replace: 'const isSame = a.why === d.why;',
      },
    ],
  },
  {
    name: 'an approval outlives another epoch',
    rule: 0,
    by: '141-approve-ends',
    edits: [{ file: approve, find: ' || epochOf(r) !== a.epoch) return', replace: ') return' }],
  },
  {
    name: 'what was approved goes by passes from before it',
    rule: 3,
    by: '143-approve-fresh',
    edits: [
      {
        file: steer,
        find: `hasFreshPasses(state, c.to, c.sinceAt)) {
    dropChoice`,
        replace: `hasFreshPasses(state, c.to, r.doc.approval?.sinceAt ?? c.sinceAt)) {
    dropChoice`,
      },
    ],
  },
  {
    name: 'silence goes though that is not configured',
    rule: 0,
    by: '141-approve-ends',
    edits: [
      {
        file: approve,
        find: 'return a.afterMs === null ? null : a.sinceAt + a.afterMs;',
        replace: 'return a.sinceAt + (a.afterMs ?? 60_000);',
      },
    ],
  },
  {
    name: 'silence goes by a configuration that is no longer in force',
    rule: 0,
    by: '142-approve-after',
    edits: [
      {
        file: approve,
        find: 'if (!isNo && a.afterMs !== (r.config.approveAfterMs ?? null))',
        replace: 'if (!isNo && a.afterMs === -1)',
      },
    ],
  },
  {
    name: 'what was rejected goes',
    rule: 0,
    by: '141-approve-ends',
    edits: [
      {
        file: approve,
        find: `if (a.answer === 'approved') return null;
  if (a.answer === 'rejected') {`,
        replace: `if (a.answer !== 'none') return null;
  if (a.answer === 'rejected') {`,
      },
    ],
  },
  {
    name: 'a question outlives a freeze',
    rule: 0,
    by: '141-approve-ends',
    edits: [
      {
        file: approve,
        find: `  'frozen',
  'deposed',`,
        replace: `  'deposed',`,
      },
    ],
  },
  {
    name: 'a question outlives a pause of the process',
    rule: 16,
    by: '143-approve-fresh',
    edits: [{ file: engine, find: '    dropAsked(state, r, out);\n', replace: '' }],
  },
  {
    name: 'a question never dies',
    rule: 0,
    by: '141-approve-ends',
    edits: [
      { file: approve, find: 'const APPROVAL_MS = 900_000;', replace: 'const APPROVAL_MS = 9e9;' },
    ],
  },
  {
    name: 'nobody is asked',
    rule: 0,
    by: '140-approve',
    edits: [
      {
        file: approve,
        find: `return r.config.mode === 'approve' && why !== 'drained' && why !== 'drill';`,
        replace: `return r.config.mode === 'observe' && why !== 'drained';`,
      },
    ],
  },
  {
    name: 'a drain is asked for again',
    rule: 0,
    by: '140-approve',
    edits: [
      {
        file: approve,
        find: `return r.config.mode === 'approve' && why !== 'drained' && why !== 'drill';`,
        replace: `return r.config.mode === 'approve' && why !== 'drill';`,
      },
    ],
  },
  {
    name: 'a drill that somebody ordered is asked for',
    rule: 0,
    by: '170-drill-in-approve',
    edits: [
      {
        file: approve,
        find: `return r.config.mode === 'approve' && why !== 'drained' && why !== 'drill';`,
        replace: `return r.config.mode === 'approve' && why !== 'drained';`,
      },
    ],
  },
  {
    name: 'the way home of a drill waits for a hook',
    rule: 0,
    by: '171-drill-and-hook',
    edits: [
      {
        file: hook,
        find: `if (r.doc.drill?.stage === 'ending' && d.why === 'drill') return;`,
        replace: '',
      },
    ],
  },
  {
    name: 'who waits for its turn is kept on a target that has fallen',
    rule: 0,
    by: '172-left-falls-by-vendor',
    edits: [
      {
        file: turns,
        find: `if (next !== undefined && isUp && cannotWait(state, r, out)) return endTurns(state, r, out);`,
        replace: '',
      },
    ],
  },
  {
    name: 'what somebody puts where a turn is waited for is left there',
    rule: 0,
    by: '175-edited-while-it-waits',
    edits: [
      {
        file: turns,
        find: 'return left !== undefined && cell.seen.cname !== left.cname;',
        replace: 'return left === undefined;',
      },
    ],
  },
  {
    name: 'a drill goes on in a window of maintenance',
    rule: 0,
    by: '173-drill-in-maintenance',
    edits: [
      {
        file: drill,
        find: 'if (isInMaintenance(state, r.name)) return',
        replace: 'if (false) return',
      },
    ],
  },
  {
    name: 'a hook before a switch vetoes it in vain',
    rule: 0,
    by: '144-hooks',
    edits: [
      {
        file: hook,
        find: `return answer === 'go' || (answer`,
        replace: `return answer === 'go' || answer === 'veto' || (answer`,
      },
    ],
  },
  {
    name: 'the silence of a hook goes though it means stay',
    rule: 0,
    by: '144-hooks',
    edits: [
      {
        file: hook,
        find: `(answer === 'silent' && r.config.hooks?.before?.silence === 'go')`,
        replace: `answer === 'silent'`,
      },
    ],
  },
  {
    name: 'a hook is run again for one decision',
    rule: 0,
    by: '144-hooks',
    edits: [
      {
        file: hook,
        find: `r.config.mode === 'observe' || r.doc.hook !== null) return;`,
        replace: `r.config.mode === 'observe') return;`,
      },
    ],
  },
  {
    name: 'what a hook has prepared is not confirmed anew',
    rule: 3,
    by: '144-hooks',
    edits: [
      {
        file: steer,
        find: `    dropChoice(state, r);
    return setStay(state, r, waits.reason`,
        replace: `    return setStay(state, r, waits.reason`,
      },
      {
        file: steer,
        find: `    dropChoice(state, r);
    // What it prepares`,
        replace: `    // What it prepares`,
      },
    ],
  },
  {
    name: 'a hook is run for a decision that is not durable',
    rule: 15,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: `if (!committed) return this.#later(0, () => tell('unrun'`,
        replace: `if (record === '') return this.#later(0, () => tell('unrun'`,
      },
    ],
  },
  {
    name: 'a hook is run before the group has committed what it is for',
    rule: 30,
    by: 'controller-group.test.ts',
    edits: [
      {
        file: controller,
        find: `(effect.kind === 'notify' || effect.kind === 'hook') && committed && changed`,
        replace: `effect.kind === 'notify' && committed && changed`,
      },
    ],
  },
  {
    name: 'a drill is not put back when its time is over',
    rule: 0,
    by: '150-a-drill',
    edits: [
      {
        file: drill,
        find: `  if (state.now >= endsAt) return toStage(state, r, { ...d, stage: 'ending' }, out);`,
        replace: `  if (state.now >= endsAt) return toStage(state, r, d, out);`,
      },
    ],
  },
  {
    name: 'a drill begins though a target is down',
    rule: 0,
    by: '152-drill-refused',
    edits: [
      {
        file: drill,
        find: `else if (health !== 'up') found.push(`,
        replace: `else if (health === 'unknown') found.push(`,
      },
    ],
  },
  {
    name: 'a drill begins though a record is only observed',
    rule: 0,
    by: '152-drill-refused',
    edits: [
      {
        file: drill,
        find: `  if (config.mode === 'observe') {
    return [\``,
        replace: `  if (config.mode !== 'observe' && config.mode !== 'steer') {
    return [\``,
      },
    ],
  },
  {
    name: 'a drill begins though another runs',
    rule: 0,
    by: '152-drill-refused',
    edits: [
      {
        file: drill,
        find: `  if (other !== undefined) {`,
        replace: `  if (other === null) {`,
      },
    ],
  },
  {
    name: 'a drill by vendor writes all at once',
    rule: 0,
    by: '151-by-vendor',
    edits: [
      {
        file: cell,
        find: `  if (isWaiting(r, cell)) {
    cell.problem = null;`,
        replace: `  if (isWaiting(r, cell) && r.doc.drill === null) {
    cell.problem = null;`,
      },
    ],
  },
  {
    name: 'a drill spends the budget',
    rule: 10,
    by: '150-a-drill',
    edits: [
      {
        file: steer,
        find: `    spends: c.why !== 'drained' && c.why !== 'drill',`,
        replace: `    spends: c.why !== 'drained',`,
      },
    ],
  },
  {
    name: 'a drill pins',
    rule: 9,
    by: '150-a-drill',
    edits: [
      {
        file: steer,
        find: `    pinned: false,
    pinUntilAt: null,
    turns:`,
        replace: `    pinned: c.why === 'drill',
    pinUntilAt: null,
    turns:`,
      },
    ],
  },
  {
    name: 'a vendor that waits for its turn is shown as behind',
    rule: 0,
    by: 'core/drill.test.ts',
    edits: [
      {
        file: viewing,
        find: `  if (isWaiting(r, c)) return 'waiting';
`,
        replace: ``,
      },
    ],
  },
  {
    name: 'whoever takes over leaves a drill where it is',
    rule: 0,
    by: '155-drill-after-a-fall',
    edits: [
      {
        file: drill,
        find: `  if (state.drilling !== d.id) return lostSight;
`,
        replace: ``,
      },
    ],
  },
  {
    name: 'a drill goes on in a freeze',
    rule: 0,
    by: '153-drill-broken-off',
    edits: [
      {
        file: drill,
        find: `  if (freeze !== null) return \`frozen: \${freeze.reason}\`;
`,
        replace: ``,
      },
    ],
  },
  {
    name: 'a freeze holds a drill where it is',
    rule: 0,
    by: '153-drill-broken-off',
    edits: [
      {
        file: decide,
        find: `  if (s.frozen !== null && wayHome(s) === null) return`,
        replace: `  if (s.frozen !== null) return`,
      },
    ],
  },
  {
    name: 'a drill goes on though its target is down',
    rule: 0,
    by: '153-drill-broken-off',
    edits: [
      {
        file: drill,
        find: `  if (to?.health !== 'up') return \`\${d.to} is`,
        replace: `  if (to === undefined) return \`\${d.to} is`,
      },
    ],
  },
  {
    name: 'a drill goes on though a vendor fails',
    rule: 0,
    by: '153-drill-broken-off',
    edits: [
      {
        file: drill,
        find: `  if (lane.fault !== null) return lane.fault.sentence;
`,
        replace: ``,
      },
      {
        file: drill,
        find: `  if (cell.problem !== null && cell.problem.word !== 'conflict') return cell.problem.sentence;\n`,
        replace: ``,
      },
    ],
  },
  {
    name: 'a drill goes back to a target that is down',
    rule: 5,
    by: '153-drill-broken-off',
    edits: [
      {
        file: drill,
        find: `  return state.origins.get(from)?.health === 'down' ? \`\${from} is down\` : null;`,
        replace: `  return null;`,
      },
    ],
  },
  {
    name: 'an answer of DNS ends a drill',
    rule: 26,
    by: '153-drill-broken-off',
    edits: [
      {
        file: drill,
        find: `  if (seen?.by !== 'api') return null;`,
        replace: `  if (seen === null) return null;`,
      },
    ],
  },
  {
    name: 'what a drill never sent is taken for its late write',
    rule: 15,
    by: '157-not-sent-not-late',
    edits: [
      {
        file: switching,
        find: `cname !== null && !isWaiting(r, cell);`,
        replace: `cname !== null;`,
      },
    ],
  },
  {
    name: 'a failback by vendor does not watch the first',
    rule: 0,
    by: '156-failback-by-vendor',
    edits: [
      {
        file: turns,
        find: `  if (state.now < dueAt) return lookAt(state, r, dueAt);
`,
        replace: ``,
      },
    ],
  },
  {
    name: 'a canary is written over what somebody else has there',
    rule: 4,
    by: 'drill/canary.test.ts',
    edits: [
      {
        file: 'src/drill/canary.ts',
        find: '  if (!isValue) return `',
        replace: "  if (!isValue && value === '') return `",
      },
    ],
  },
  {
    name: `an unsigned marker makes a stranger's canary ours`,
    rule: 25,
    by: 'drill/canary.test.ts',
    edits: [
      {
        file: 'src/drill/canary.ts',
        find: 'const isProved = !signed || proof',
        replace: 'const isProved = true || proof',
      },
    ],
  },
  {
    name: 'a canary passes with one server behind',
    rule: 29,
    by: 'drill/canary.test.ts',
    edits: [
      {
        file: 'src/drill/canary.ts',
        find: 'answers.length > 0 && answers.every((one)',
        replace: 'answers.length > 0 && answers.some((one)',
      },
    ],
  },
  {
    name: 'a canary takes calls that are kept for switches',
    rule: 7,
    by: 'drill/schedule.test.ts',
    edits: [
      {
        file: 'src/core/view.ts',
        find: 'return tokens - quota.reserve < needed ?',
        replace: 'return tokens < -1e9 ?',
      },
    ],
  },
  {
    name: 'a dry drill asks the origin that is said to be down',
    rule: 31,
    by: 'drill/dry.test.ts',
    edits: [
      {
        file: 'src/drill/dry.ts',
        find: 'return isSaid ? Promise.resolve(said) : inner.probe(check, path, signal);',
        replace: 'return inner.probe(check, path, signal).then((was) => (isSaid ? said : was));',
      },
    ],
  },
  {
    name: 'the second engine of a dry drill steers',
    rule: 4,
    by: 'drill/dry.test.ts',
    edits: [
      {
        file: 'src/drill/dry.ts',
        find: `mode: 'observe' }`,
        replace: `mode: 'steer' }`,
      },
    ],
  },
  {
    name: 'a dry drill passes whatever was decided',
    rule: 29,
    by: 'drill/dry.test.ts',
    edits: [
      {
        file: 'src/drill/dry.ts',
        find: 'return went === to ? []',
        replace: `return went === to || to !== '' ? []`,
      },
    ],
  },
  {
    name: 'a drill goes on while the world changes under it',
    rule: 7,
    by: 'drill/dry.test.ts',
    edits: [
      {
        file: 'src/drill/drills.ts',
        find: 'if (this.#under !== null && alarms.has(kind)) this.#under.abort();',
        replace: 'if (this.#under !== null && alarms.has(kind)) this.#put.clear();',
      },
    ],
  },
  {
    name: 'a drill is begun in a freeze',
    rule: 9,
    by: 'drill/dry.test.ts',
    edits: [
      {
        file: 'src/drill/worry.ts',
        find: 'if (view.freeze !== null) return `',
        replace: 'if (view.freeze !== null && view.at < 0) return `',
      },
    ],
  },
  {
    name: 'a drill is made outside its window',
    rule: 0,
    by: 'drill/schedule.test.ts',
    edits: [
      {
        file: 'src/drill/due.ts',
        find: 'due: !isMade(at(latest)) && now.wall - latest <= windowMs,',
        replace: 'due: !isMade(at(latest)),',
      },
    ],
  },
  {
    name: 'a wall clock that jumps opens windows at once',
    rule: 12,
    by: 'drill/calendar.test.ts',
    edits: [
      {
        file: 'src/drill/steady.ts',
        find: 'now - jumped.at >= BELIEVED_MS',
        replace: 'now - jumped.at >= 0',
      },
    ],
  },
  {
    name: 'an origin in maintenance is taken',
    rule: 9,
    by: '160-maintenance',
    edits: [
      {
        file: 'src/core/situation.ts',
        find: 'if (state.maintained.origins.has(origin)) return true;',
        replace: 'if (state.maintained.origins.has(origin)) return false;',
      },
    ],
  },
  {
    name: 'a record in maintenance is decided',
    rule: 9,
    by: '160-maintenance',
    edits: [
      {
        file: 'src/core/situation.ts',
        find: 'frozen: freeze?.reason ?? (maintained &&',
        replace: 'frozen: freeze?.reason ?? (undefined &&',
      },
    ],
  },
  {
    name: 'a window in the hour that comes twice ends in its middle',
    rule: 0,
    by: 'config/windows.test.ts',
    edits: [
      {
        file: 'src/config/windows.ts',
        find: `return which === 'early' ? Math.min(...found) : Math.max(...found);`,
        replace: 'return Math.min(...found);',
      },
    ],
  },
  {
    name: 'what was predicted of a switch leaves out the TTL that caches keep it for',
    rule: 0,
    by: '165-objective',
    edits: [
      {
        file: 'src/core/objective.ts',
        find: 'ttlMs: 1000 * shownFor(state, r, cell),',
        replace: 'ttlMs: 0 * shownFor(state, r, cell),',
      },
    ],
  },
  {
    name: 'a promise that was missed is written down as kept',
    rule: 0,
    by: '165-objective',
    edits: [
      {
        file: 'src/core/objective.ts',
        find: 'const kept = behind.length === 0 && ms <= objectiveMs;',
        replace: 'const kept = !(behind.length === 0 && ms <= objectiveMs);',
      },
    ],
  },
  {
    name: 'a promise is kept though a vendor has not followed',
    rule: 0,
    by: '165-objective',
    edits: [
      {
        file: 'src/core/objective.ts',
        find: 'if (behind.length > 0 && state.now <= dueAt(promised, objectiveMs)) return;',
        replace: 'if (behind.length === cells.length) return;',
      },
      {
        file: 'src/core/objective.ts',
        find: 'const kept = behind.length === 0 && ms <= objectiveMs;',
        replace: 'const kept = ms <= objectiveMs;',
      },
    ],
  },
  {
    name: 'detection is no part of what clients waited for',
    rule: 0,
    by: '165-objective',
    edits: [
      {
        file: 'src/core/objective.ts',
        find: 'detectMs: Math.max(0, decidedAt - sinceAt),',
        replace: 'detectMs: Math.min(0, decidedAt - sinceAt),',
      },
    ],
  },
  {
    name: 'a report counts what nobody knows as an outage',
    rule: 5,
    by: 'report/report.test.ts',
    edits: [
      {
        file: 'src/report/sla.ts',
        find: "const down = merged(seen.filter(({ word }) => word === 'down'));",
        replace:
          "const down = merged([...seen.filter(({ word }) => word === 'down'), ...without([whole], seen).map((s) => ({ ...s, word: 'down' as const, why: '' }))]);",
      },
    ],
  },
  {
    name: 'a report counts on while Detour was not there',
    rule: 5,
    by: 'report/report.test.ts',
    edits: [
      {
        file: 'src/report/sla.ts',
        find: 'return without(stretches, journal.gaps).filter(',
        replace: 'return without(stretches, journal.gaps.slice(0, 0)).filter(',
      },
    ],
  },
  {
    name: 'windows of outage that overlap are counted twice',
    rule: 0,
    by: 'report/report.test.ts',
    edits: [
      {
        file: 'src/report/states.ts',
        find: 'if (last !== undefined && span.from <= last.to) {',
        replace: 'if (last !== undefined && span.from < last.from) {',
      },
    ],
  },
  {
    name: 'a month begins at midnight of UTC, whatever the zone',
    rule: 0,
    by: 'report/report.test.ts',
    edits: [
      {
        file: 'src/report/zone.ts',
        find: 'at = asUtc - (shown(at) - Math.floor(at / 1000) * 1000);',
        replace: 'at = asUtc - 0 * shown(at);',
      },
    ],
  },
  {
    name: 'promises kept and missed are swapped in the report',
    rule: 0,
    by: 'report/report.test.ts',
    edits: [
      {
        file: 'src/report/objective.ts',
        find: 'const kept = outcomes.filter((one) => one.kept).length;',
        replace: 'const kept = outcomes.filter((one) => !one.kept).length;',
      },
    ],
  },
  {
    name: 'a channel is not told that what it was told is over',
    rule: 0,
    by: 'notify/channels.test.ts',
    edits: [
      {
        file: channel,
        find: "if (state === 'closed' && this.#open.has(dedup)) return true;",
        replace: '',
      },
    ],
  },
  {
    name: 'repeats are told within the quiet time',
    rule: 0,
    by: 'notify/channels.test.ts',
    edits: [
      {
        file: channel,
        find: 'if (isSoon && saysNothingNew(told, was.told)) {',
        replace: 'if (false) {',
      },
    ],
  },
  {
    name: 'the severity that a channel is configured for is ignored',
    rule: 0,
    by: 'notify/channels.test.ts',
    edits: [
      {
        file: channel,
        find: 'if (!this.#parts.rule.severity.includes(severity)) return false;',
        replace: '',
      },
    ],
  },
  {
    name: 'a webhook is signed without the time, so that anybody may say it again',
    rule: 0,
    by: 'notify/vendors.test.ts',
    edits: [
      {
        file: 'src/notify/webhook.ts',
        find: "[id, timestamp, body].join('.')",
        replace: "[id, body].join('.')",
      },
    ],
  },
  {
    name: 'what hangs at one channel holds up the others',
    rule: 24,
    by: 'notify/channels.test.ts',
    edits: [
      {
        file: 'src/notify/channels.ts',
        find: '    for (const channel of to) {',
        replace:
          '    for (const channel of to) {\n      if (channels.some((one) => one.figures().waiting > 0)) return;',
      },
    ],
  },
  {
    name: 'what a channel refuses is tried without end',
    rule: 22,
    by: 'notify/channels.test.ts',
    edits: [
      {
        file: channel,
        find: 'if (now + pauseMs - sinceAt > totalMs[told.severity]) {',
        replace: 'if (false) {',
      },
    ],
  },
  {
    name: 'what has no room at a channel is the page that has waited longest',
    rule: 22,
    by: 'notify/channels.test.ts',
    edits: [
      {
        file: channel,
        find: 'this.#ranks.findLast((items) => items.length > 0)',
        replace: 'this.#ranks.find((items) => items.length > 0)',
      },
    ],
  },
  {
    name: 'after a restart Alertmanager is not told again, so that it takes what is open for over',
    rule: 0,
    by: 'notify/channels.test.ts',
    edits: [
      {
        file: channel,
        find: 'void this.#sayAgain(open().filter((told) => this.#wants(told)));',
        replace: '',
      },
    ],
  },
  {
    name: 'a monitor that has fallen silent still passes',
    rule: 5,
    by: 'probes/push.test.ts',
    edits: [
      {
        file: 'src/probes/push.ts',
        find: 'if (silentMs > expires) {',
        replace: 'if (silentMs > 1000 * expires) {',
      },
      {
        file: 'src/probes/push.ts',
        find: 'all.filter(({ at }) => now - at <= expires)',
        replace: 'all.filter(({ at }) => now >= at)',
      },
    ],
  },
  {
    name: 'a push is heard whatever token comes with it',
    rule: 20,
    by: 'probes/push.test.ts',
    edits: [
      {
        file: 'src/probes/push.ts',
        find: "return timingSafeEqual(digest(known), digest(shown)) && known !== '';",
        replace: "return timingSafeEqual(digest(known), digest(known)) && shown !== '\\0';",
      },
    ],
  },
  {
    name: 'a plugin that does not know speaks against the origin',
    rule: 6,
    by: 'probes/exec.test.ts',
    edits: [
      {
        file: 'src/probes/exec.ts',
        find: 'if (status === 3) return blind(',
        replace: 'if (status === 3) return fail(',
      },
    ],
  },
  {
    name: 'a plugin outlives its deadline',
    rule: 22,
    by: 'probes/exec.test.ts',
    edits: [
      {
        file: 'src/probes/exec.ts',
        find: "trip.signal.addEventListener('abort', stop, { once: true });",
        replace: '',
      },
    ],
  },
  {
    name: 'a plugin says its secrets again, and they are shown',
    rule: 20,
    by: 'probes/exec.test.ts',
    edits: [
      {
        file: 'src/probes/exec.ts',
        find: "text.replaceAll(part, '…')",
        replace: 'text.replaceAll(part, part)',
      },
    ],
  },
  {
    name: 'a query that gives nothing speaks for the origin',
    rule: 5,
    by: 'probes/prometheus.test.ts',
    edits: [
      {
        file: 'src/probes/prometheus.ts',
        find: "if (empty === 'pass') return",
        replace: "if (empty !== 'fail') return",
      },
    ],
  },
  {
    name: 'a query that gives nothing speaks against the origin',
    rule: 5,
    by: 'probes/prometheus.test.ts',
    edits: [
      {
        file: 'src/probes/prometheus.ts',
        find: "empty === 'fail' ? fail('empty', detail)",
        replace: "empty !== 'pass' ? fail('empty', detail)",
      },
    ],
  },
  {
    name: 'an answer of long ago counts',
    rule: 5,
    by: 'probes/prometheus.test.ts',
    edits: [
      {
        file: 'src/probes/prometheus.ts',
        find: 'Math.abs(wall - at * 1000) > asked.stale',
        replace: 'Math.abs(wall - at * 1000) > asked.stale * 1000',
      },
    ],
  },
  {
    name: "a Prometheus's own trouble is taken for the origin's",
    rule: 6,
    by: 'probes/prometheus.test.ts',
    edits: [
      {
        file: 'src/probes/prometheus.ts',
        find: "if (answer.outcome === 'blind') return answer;\n    return blind('monitor',",
        replace: "if (answer.outcome !== 'limited') return answer;\n    return blind('monitor',",
      },
    ],
  },
  {
    name: 'a service that does not serve passes',
    rule: 3,
    by: 'probes/grpc.test.ts',
    edits: [
      {
        file: 'src/probes/grpc.ts',
        find: 'if (state === serving && asked.never',
        replace: 'if (state > 0 && asked.never',
      },
    ],
  },
  {
    name: 'a server without the health service is taken for one that is down',
    rule: 6,
    by: 'probes/grpc.test.ts',
    edits: [
      {
        file: 'src/probes/grpc.ts',
        find: "return blind('no-health-service',",
        replace: "return fail('no-health-service',",
      },
    ],
  },
  {
    name: 'what another monitor pushed makes a path look as if it could see',
    rule: 5,
    by: 'core/aside.test.ts',
    edits: [
      {
        file: watch,
        find: 'let touched = config.aside ? NOBODY : lookAround(',
        replace: 'let touched = lookAround(',
      },
      {
        file: watched,
        find: "(c) => c.role === 'origin' && c.aside !== true,",
        replace: "(c) => c.role === 'origin',",
      },
    ],
  },
  {
    name: 'what asks somebody else slows down what asks the origin',
    rule: 31,
    by: 'core/aside.test.ts',
    edits: [
      {
        file: watched,
        find: 'return check.aside ? check.id : (check.origin ?? check.id);',
        replace: 'return check.origin ?? check.id;',
      },
    ],
  },
  {
    name: 'a body that was written for the origin goes along with a redirect',
    rule: 20,
    by: 'probes/request.test.ts',
    edits: [
      {
        file: 'src/probes/http.ts',
        find: 'const body = takesBody && isSamePlace(hop) ? asked.body : undefined;',
        replace: 'const body = takesBody ? asked.body : undefined;',
      },
    ],
  },
  {
    name: 'with TLS 1.3 who was refused for his certificate passes',
    rule: 6,
    by: 'probes/request.test.ts',
    edits: [
      {
        file: 'src/probes/tls.ts',
        find: "if (protocol === 'TLSv1.3') await beTaken(secured, trip.timeoutMs);",
        replace: '',
      },
    ],
  },
  {
    name: 'the direct way out is held up by what only the daemon hears',
    rule: 23,
    by: 'core/aside.test.ts',
    edits: [
      {
        file: 'src/core/direct.ts',
        find: '&& !(seen && l.check.aside === true)',
        replace: '',
      },
    ],
  },
  {
    name: 'init writes over a configuration',
    rule: 0,
    by: 'run/init.test.ts',
    edits: [
      {
        file: initing,
        find: `existsSync(out)`,
        replace: `false`,
      },
      {
        file: initing,
        find: `writeFileSync(out, text, { flag: 'wx', mode: 0o644 });`,
        replace: `writeFileSync(out, text, { mode: 0o644 });`,
      },
    ],
  },
  {
    name: 'what a vendor says ends a comment of a first configuration',
    rule: 0,
    by: 'config/first.test.ts',
    edits: [
      {
        file: first,
        find: `text.replace(/[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}]+/gu, ' ')`,
        replace: `text`,
      },
    ],
  },
  {
    name: 'a live drill that a person began is asked for again',
    rule: 0,
    by: '145-approve-drill',
    edits: [{ file: approve, find: `'drained' && why !== 'drill';`, replace: `'drained';` }],
  },
  {
    name: 'a pin that 0.2 has written is not known again',
    rule: 0,
    by: 'corpus/corpus.test.ts',
    edits: [
      {
        file: 'src/core/stored.ts',
        find: "if (!isObject(marker) || !Object.hasOwn(marker, 'untilWall')) return marker;",
        replace: 'if (!isObject(marker) || marker !== undefined) return marker;',
      },
    ],
  },
  {
    name: 'a journal is replayed by the newest rules, whichever it was decided by',
    rule: 0,
    by: 'corpus/corpus.test.ts',
    edits: [
      {
        file: 'src/replay/recorded.ts',
        find: 'return (at) => starts.findLast((s) => s.at <= at)?.behaviour ?? first;',
        replace: 'return (at) => (first < at ? newestBehaviour : first);',
      },
    ],
  },
  {
    name: 'a start does not say by which rules is decided',
    rule: 0,
    by: 'corpus/corpus.test.ts',
    edits: [
      {
        file: engine,
        find: 'const under = { behaviour: b.config.behaviour ?? newestBehaviour };',
        replace: 'const under = newestBehaviour > 0 ? {} : null;',
      },
    ],
  },
  {
    name: 'an audit leaves a record without a place to go',
    rule: 0,
    by: '180-standby',
    edits: [{ file: decide, find: 'return isServed ? fit : all;', replace: 'return fit;' }],
  },
  {
    name: 'a target that does not serve the public names is chosen',
    rule: 0,
    by: '180-standby',
    edits: [{ file: decide, find: 'return isServed ? fit : all;', replace: 'return all;' }],
  },
  {
    name: 'a target with a flaw goes before one without',
    rule: 0,
    by: '180-standby',
    edits: [{ file: decide, find: 'flaw !== null ? 1 : 0;', replace: '0;' }],
  },
  {
    name: 'what an audit found counts for ever',
    rule: 0,
    by: '180-standby',
    edits: [
      {
        file: 'src/core/standby.ts',
        find: 'return untilAt <= state.now ? null :',
        replace: 'return untilAt <= 0 ? null :',
      },
    ],
  },
  {
    name: 'a target that fails its own check as well is held not to serve the name',
    rule: 0,
    by: 'audit/standby.test.ts',
    edits: [
      {
        file: 'src/audit/standby.ts',
        find: "{ ...one, name: null }, signal)).outcome !== 'pass'",
        replace: "{ ...one, name: null }, signal)).outcome === 'blind'",
      },
    ],
  },
  {
    name: 'a label that could pass for another is shown in its own script',
    rule: 0,
    by: 'kit/script.test.ts',
    edits: [
      {
        file: 'src/kit/script.ts',
        find: 'return isOfAscii && !(hasLatin && strokes.test(label));',
        replace: 'return isOfAscii || hasLatin;',
      },
    ],
  },
  {
    name: 'what is typed unseen in a name is taken away, and the rest is taken for it',
    rule: 0,
    by: 'kit/script.test.ts',
    edits: [
      {
        file: 'src/kit/script.ts',
        find: "const ascii = typed.test(text) ? domainToASCII(text) : '';",
        replace: 'const ascii = domainToASCII(text);',
      },
    ],
  },
  {
    name: 'a part of a label is shown as another one is written',
    rule: 0,
    by: 'core/name.test.ts',
    edits: [
      {
        file: 'src/core/name.ts',
        find: '/(?<![a-z0-9_-])xn--[a-z0-9-]+/g',
        replace: '/xn--[a-z0-9-]+/g',
      },
    ],
  },
  {
    name: 'an eviction leaves one vendor',
    rule: 0,
    by: 'core/delegation.test.ts',
    edits: [
      { file: delegation, find: 'const VENDORS_LEAST = 2;', replace: 'const VENDORS_LEAST = 1;' },
    ],
  },
  {
    name: 'an eviction does not look at the DS of the parent',
    rule: 0,
    by: 'run/evict.test.ts',
    edits: [
      {
        file: 'src/run/evict.ts',
        find: 'if (ds.length === 0) return null;',
        replace: 'return ds.length < 0 ? String(findings) + bars.size : null;',
      },
    ],
  },
  {
    name: 'the marker of a delegation counts whoever signed it',
    rule: 25,
    by: 'core/delegation.test.ts',
    edits: [
      {
        file: delegation,
        find: '} else if (proves(marker) && marker.epoch',
        replace: '} else if (marker.cluster === cluster && marker.epoch',
      },
    ],
  },
  {
    name: 'what is held of a key is let go of when its renewal fails',
    rule: 17,
    by: 'providers/held.test.ts',
    edits: [
      {
        file: 'providers/kit/held.ts',
        find: '    this.#failures++;',
        replace: '    this.#failures++;\n    this.#holding = null;',
      },
    ],
  },
  {
    name: 'a key is renewed when it ends, and not before',
    rule: 17,
    by: 'providers/held.test.ts',
    edits: [
      {
        file: 'providers/kit/held.ts',
        find: 'const RENEW_AT = 0.5;',
        replace: 'const RENEW_AT = 1;',
      },
    ],
  },
  {
    name: 'an empty key is sent to the vendor without a signature',
    rule: 17,
    by: 'providers/keys.test.ts',
    edits: [
      {
        file: 'providers/kit/pop.ts',
        find: 'if (this.#keys !== null && !isWhole(keys.value)) {',
        replace: 'if (isWhole({ accessKeyId: doing })) {',
      },
    ],
  },
  {
    name: 'trouble of a token service passes for the vendor’s',
    rule: 24,
    by: 'providers/keys.test.ts',
    edits: [
      {
        file: 'providers/kit/held.ts',
        find: 'return failed(scope, as, `credentials: ',
        replace: 'return failed(scope, as, `',
      },
    ],
  },
  {
    name: 'of a round that could not be committed only the last decision is taken back',
    rule: 13,
    by: 'controller.test.ts',
    edits: [
      {
        file: engine,
        find: "if (event.kind !== 'store' && settled) {",
        replace: "if (event.kind !== 'store') {",
      },
    ],
  },
  {
    name: 'what is decided is shown before its round is committed',
    rule: 29,
    by: 'controller.test.ts',
    edits: [
      {
        file: controller,
        find: `  status(): StatusView {
    this.#flush();
`,
        replace: `  status(): StatusView {
`,
      },
    ],
  },
  {
    name: 'every name is asked of DNS in the same moment',
    rule: 22,
    by: 'core/crowd.test.ts',
    edits: [
      {
        file: 'src/core/steer.ts',
        find: 'Math.max(0, place - DNS_READ_AT_ONCE) * DNS_READ_APART_MS',
        replace: '0 * place * DNS_READ_AT_ONCE * DNS_READ_APART_MS',
      },
    ],
  },
  {
    name: 'a probe of what is in doubt passes for routine',
    rule: 21,
    by: 'core/rate.test.ts',
    edits: [
      {
        file: burst,
        find: "return verdict === 'up' && judged.verdict === 'up' && missed === 0 && left === 0;",
        replace: "return verdict === 'up' || judged.verdict === 'up' || missed > 0 || left === 0;",
      },
    ],
  },
  {
    name: 'a TLS session is offered to another server, or trusted for another bundle',
    rule: 21,
    by: 'probes/sessions.test.ts',
    edits: [
      {
        file: 'src/probes/sessions.ts',
        find: 'a.context === b.context &&',
        replace: 'a.name === b.name ||',
      },
    ],
  },
  {
    name: 'what had been answered while this process was busy is called a time-out',
    rule: 6,
    by: 'probes/http.test.ts',
    edits: [
      {
        file: 'src/kit/deadline.ts',
        find: 'setTimeout(() => setImmediate(late), ms);',
        replace: 'setTimeout(late, ms);',
      },
    ],
  },
  {
    name: 'the prober gives up on a check that is due to say itself what is wrong',
    rule: 6,
    by: 'probes/http.test.ts',
    edits: [
      {
        file: 'src/probes/index.ts',
        find: "setImmediate(() => setImmediate(() => this.#giveUp(blind('internal', late))));",
        replace: "setImmediate(() => this.#giveUp(blind('internal', late)));",
      },
    ],
  },
  {
    name: 'what breaks off with a TLS session counts against the origin',
    rule: 6,
    by: 'probes/sessions.test.ts',
    edits: [
      {
        file: 'src/probes/path.ts',
        find: 'if (this.#offer === null || this.#isOver) throw error;',
        replace: 'if (this.#offer !== undefined) throw error;',
      },
    ],
  },
];
