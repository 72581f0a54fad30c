/*
 * Lease, commit, fence and signed marker of a group of replicas, with one DNS vendor, for Spin. Each
 * step is what one party can do between two messages; every order of steps is tried, so that a replica
 * may stand still anywhere, and what it has sent may land at any time after. docs/model.md says what
 * this shows and what it does not. Flags that end in `_MUTANT` break it on purpose.
 *
 * Time is ticks. A lease lives TTL ticks at etcd; a replica believes in its right to act for TTL ticks
 * from when it SENT what was granted. All clocks run at one speed.
 */

#ifndef N
#define N 2              /* replicas */
#endif
#ifndef TTL
#define TTL 2
#endif
#ifndef TICKS
#define TICKS 4          /* so much time goes by in all */
#endif
#ifndef LOSSES
#define LOSSES 2         /* commits and writes whose reply does not come within the deadline */
#endif
#ifndef DECISIONS
#define DECISIONS 2      /* automatic switches */
#endif
#ifndef ORDERS
#define ORDERS 0         /* times that one operator's order, with one id, is said */
#endif
#ifndef DIRECTS
#define DIRECTS 0        /* switches by hand past the group */
#endif
#ifndef RESTORES
#define RESTORES 0       /* times that etcd is put back from a backup */
#endif

#define NONE N

/* ---------------------------------------------------------------- etcd */

byte holder = NONE, leaseTerm = 0, ttl = 0;
byte rev = 0, base = 0;
byte head = 0, docEpoch = 1, docTerm = 0;
bit docHand = 0, done = 0, order = 0;
byte inc = 0, ackedInc = 0;   /* the cluster's id; and the newest one that a person has acked */

bit kept = 0;                 /* a backup was made: */
byte bHolder, bLeaseTerm, bRev, bHead, bEpoch, bTerm;
bit bHand, bDone, bOrder;
byte sinceRestore = 0;

/* ---------------------------------------------------------------- the vendor */

/* A marker: epoch, term, and whether an operator signed it past the group. Of ids there are none here:
   one holder under one term commits an epoch once. */
byte vEpoch = 1, vTerm = 0;
bit vHand = 0;

/* ---------------------------------------------------------------- replicas */

typedef Replica_t {
  unsigned own : 2;           /* ticks for which it may act, as it believes */
  unsigned asking : 2;        /* 1: asked for the lease, 2: granted, the reply is under way */
  unsigned age : 2;           /* ticks since it asked */
  unsigned gotTerm : 3, gotInc : 1;
  unsigned term : 3, inc : 1;
  bit restored;               /* it knows that etcd was put back: it does nothing */
  unsigned num : 3, epoch : 3, mterm : 3;
  bit hand, done;             /* the documents as it knows them; they outlive a restart */
  unsigned waiting : 2;       /* of a commit: 1 sent, 2 done, 3 refused, the reply under way */
  bit fresh, writing;         /* what stands at the vendor was read and holds; a write is under way */
  unsigned sEpoch : 3, sTerm : 3;
  bit sHand;
#ifdef UNKNOWN_IS_DONE_MUTANT
  unsigned pEpoch : 3;
#endif
}
Replica_t r[N];

/* Under way to etcd, and to the vendor: they land in any order. `due`: the sender waits for a reply. */
typedef Txn_t {
  bit used, due, order, hand;
  unsigned by : 2, term : 3, num : 3, epoch : 3, mterm : 3;
}
typedef Write_t {
  bit used, due, hand, xHand;
  unsigned by : 2, epoch : 3, mterm : 3, xEpoch : 3, xTerm : 3;
}
Txn_t txn[2];
Write_t wr[2];

byte ticks = TICKS, losses = LOSSES, decisions = DECISIONS, saying = ORDERS;
byte directs = DIRECTS, restores = RESTORES;
byte handEpoch = 0;

/* ---------------------------------------------------------------- what must never happen */

short taken = 1;              /* numbers of the head that were committed */
short known = 2;              /* epochs that were committed */
bit wasDone = 0;              /* the order's effect has happened */
byte acted = 0;               /* the highest term under which anybody has acted */

/* Whoever acts is alone in it, and has its right from an etcd that a person stands behind. */
inline acts(WHO) {
  k = 0;
  do
  :: k < N -> assert(k == WHO || r[k].own == 0); k++
  :: else -> break
  od;
  k = 0;
  assert(r[WHO].inc <= ackedInc);
  if :: r[WHO].term > acted -> acted = r[WHO].term :: else fi
}

#define isFree(SLOTS) (!SLOTS[0].used || !SLOTS[1].used)
#define may(i) (r[i].own > 0 && !r[i].restored)
/* The order of markers: epoch, then an operator's before a machine's, then the term. */
#define below(e1, t1, h1, e2, t2, h2) \
  (e1 < e2 || (e1 == e2 && !h1 && (h2 || t1 < t2)))
#define sameMarker(e1, t1, h1, e2, t2, h2) (e1 == e2 && t1 == t2 && h1 == h2)
/* A genuine order by hand that it does not know of yet. */
#define byHand(i) (r[i].sHand && \
  below(r[i].epoch, r[i].mterm, r[i].hand, r[i].sEpoch, r[i].sTerm, r[i].sHand))

#ifdef NO_FENCE_MUTANT
#define mayWrite(i) \
  !sameMarker(r[i].sEpoch, r[i].sTerm, r[i].sHand, r[i].epoch, r[i].mterm, r[i].hand)
#else
#define mayWrite(i) \
  below(r[i].sEpoch, r[i].sTerm, r[i].sHand, r[i].epoch, r[i].mterm, r[i].hand)
#endif

#ifdef NO_DONE_MUTANT
#define owes(i) (order)
#else
#define owes(i) (order && !r[i].done)
#endif

inline learn(WHO) {
  r[WHO].num = head; r[WHO].epoch = docEpoch; r[WHO].mterm = docTerm; r[WHO].hand = docHand;
  r[WHO].done = done
}

inline send(WHO, EPOCH, TERM, HAND, ORDER) {
  acts(WHO);
  assert(EPOCH < 8);
  if :: !txn[0].used -> k = 0 :: else -> k = 1 fi;
  txn[k].used = 1; txn[k].due = 1; txn[k].order = ORDER; txn[k].hand = HAND;
  txn[k].by = WHO; txn[k].term = r[WHO].term; txn[k].num = r[WHO].num;
  txn[k].epoch = EPOCH; txn[k].mterm = TERM;
  r[WHO].waiting = 1;
#ifdef UNKNOWN_IS_DONE_MUTANT
  r[WHO].pEpoch = EPOCH;
#endif
  k = 0
}

/* Its awaited commit, or write, is awaited no more; it may land still. */
inline giveUpTxn(WHO) {
  if :: txn[0].used && txn[0].by == WHO -> txn[0].due = 0 :: else fi;
  if :: txn[1].used && txn[1].by == WHO -> txn[1].due = 0 :: else fi
}

inline giveUpWrite(WHO) {
  if :: wr[0].used && wr[0].by == WHO -> wr[0].due = 0 :: else fi;
  if :: wr[1].used && wr[1].by == WHO -> wr[1].due = 0 :: else fi
}

inline next(WHO) {
  k = (r[WHO].epoch > r[WHO].sEpoch -> r[WHO].epoch : r[WHO].sEpoch) + 1
}

proctype Replica(byte i) {
  byte k, e;
end:
  do
  /* It asks for the lease, or to keep it. Where that could only be refused, nothing would change. */
  :: atomic { r[i].asking == 0 && !r[i].restored && r[i].own < TTL &&
      (holder == NONE || holder == i) -> r[i].asking = 1; r[i].age = 0 }

  :: atomic { r[i].asking == 2 ->
      r[i].asking = 0;
      if
#ifdef NO_NOTICE_MUTANT
      :: r[i].gotInc != r[i].inc -> r[i].inc = r[i].gotInc; learn(i)
#else
      :: r[i].gotInc != r[i].inc -> r[i].restored = 1; r[i].own = 0
#endif
      :: else
      fi;
      if
      :: !r[i].restored ->
#ifdef AUTHORITY_FROM_REPLY_MUTANT
        r[i].own = TTL;
#else
        r[i].own = TTL - r[i].age;
#endif
        if
        :: r[i].term != r[i].gotTerm -> r[i].term = r[i].gotTerm; r[i].fresh = 0
        :: else
        fi;
        if :: r[i].waiting == 0 -> learn(i) :: else fi
      :: else
      fi;
      r[i].age = 0; r[i].gotTerm = 0; r[i].gotInc = 0 }

#if RESTORES > 0
  /* Whoever hears of etcd sees that it is another than before, and that a person has acked it. */
  :: atomic { r[i].inc != inc && !r[i].restored && r[i].asking == 0 ->
#ifdef NO_NOTICE_MUTANT
      r[i].inc = inc
#else
      r[i].restored = 1; r[i].own = 0
#endif
    }
  :: atomic { r[i].restored && ackedInc == inc && r[i].waiting == 0 ->
      r[i].restored = 0; r[i].inc = inc; r[i].term = 0; r[i].fresh = 0; r[i].own = 0; learn(i) }
#endif

  /* The watch: what was committed is heard of, in time, or when it is asked for the lease. */
  :: atomic { r[i].inc == inc && !r[i].restored && r[i].waiting == 0 && r[i].num != head &&
      (r[i].own > 0 || RESTORES > 0) ->
      learn(i) }

  /* What stands at the vendor is read before acting, after a write, and now and then. */
  :: atomic { may(i) && !r[i].writing && (!r[i].fresh ||
      !sameMarker(r[i].sEpoch, r[i].sTerm, r[i].sHand, vEpoch, vTerm, vHand)) ->
      r[i].sEpoch = vEpoch; r[i].sTerm = vTerm; r[i].sHand = vHand; r[i].fresh = 1 }

  /* A commit: what was switched by hand is followed; an order; a decision of its own. */
  :: atomic { may(i) && r[i].fresh && r[i].waiting == 0 && isFree(txn) && byHand(i) ->
      send(i, r[i].sEpoch, r[i].sTerm, 1, 0) }
  :: atomic { may(i) && r[i].fresh && r[i].waiting == 0 && isFree(txn) && !byHand(i) && owes(i) ->
      next(i); e = k; send(i, e, r[i].term, 0, 1); e = 0 }
  :: atomic { may(i) && r[i].fresh && r[i].waiting == 0 && isFree(txn) && !byHand(i) &&
      decisions > 0 -> decisions--;
      next(i); e = k; send(i, e, r[i].term, 0, 0); e = 0 }

  :: atomic { r[i].waiting == 2 -> r[i].waiting = 0;
      if :: r[i].inc == inc && !r[i].restored -> learn(i) :: else fi }
  :: atomic { r[i].waiting == 3 -> r[i].waiting = 0; r[i].own = 0 }
  /* No reply within the deadline: it is read back, or the right to act is given up. */
  :: atomic { r[i].waiting != 0 && losses > 0 -> losses--; r[i].waiting = 0;
      giveUpTxn(i);
#ifdef UNKNOWN_IS_DONE_MUTANT
      r[i].epoch = r[i].pEpoch; r[i].mterm = r[i].term; r[i].hand = 0
#else
      if
      :: r[i].inc == inc && !r[i].restored -> learn(i)
      :: r[i].own = 0
      fi
#endif
    }

  /* A write is begun under the right to act, over what was read. */
  :: atomic { may(i) && r[i].fresh && !r[i].writing && r[i].waiting == 0 && isFree(wr) &&
      mayWrite(i) ->
      acts(i);
      assert((known >> r[i].epoch) & 1);
      if :: !wr[0].used -> k = 0 :: else -> k = 1 fi;
      wr[k].used = 1; wr[k].due = 1; wr[k].by = i;
      wr[k].epoch = r[i].epoch; wr[k].mterm = r[i].mterm; wr[k].hand = r[i].hand;
      wr[k].xEpoch = r[i].sEpoch; wr[k].xTerm = r[i].sTerm; wr[k].xHand = r[i].sHand;
      r[i].writing = 1; k = 0 }
  /* No reply within the deadline: it may land still. */
  :: atomic { r[i].writing && losses > 0 -> losses--; r[i].writing = 0; r[i].fresh = 0;
      giveUpWrite(i) }

  /* An order that was said again and is done is answered for, not done. */
  :: atomic { may(i) && order && r[i].done && holder == i && leaseTerm == r[i].term -> order = 0 }
  od
}

/* ---------------------------------------------------------------- what lands */

#ifdef NO_LEASE_COMPARE_MUTANT
#define holds(SLOT) true
#else
#define holds(SLOT) (holder == txn[SLOT].by && leaseTerm == txn[SLOT].term)
#endif
#ifdef NO_HEAD_COMPARE_MUTANT
#define follows(SLOT) true
#else
#define follows(SLOT) (head == txn[SLOT].num)
#endif

inline answered(SLOT, WORD) {
  if :: txn[SLOT].due -> r[txn[SLOT].by].waiting = WORD :: else fi
}

inline landTxn(SLOT) {
  if
  :: holds(SLOT) && follows(SLOT) ->
    /* A deposed one commits nothing; no number is committed twice. */
    assert(holder == txn[SLOT].by && leaseTerm == txn[SLOT].term);
    assert(!((taken >> (txn[SLOT].num + 1)) & 1));
    taken = taken | (1 << (txn[SLOT].num + 1));
    known = known | (1 << txn[SLOT].epoch);
    head = txn[SLOT].num + 1;
    docEpoch = txn[SLOT].epoch; docTerm = txn[SLOT].mterm; docHand = txn[SLOT].hand;
    if
    :: txn[SLOT].order -> assert(!wasDone); wasDone = 1; done = 1; order = 0
    :: else
    fi;
    answered(SLOT, 2)
  :: else -> answered(SLOT, 3)
  fi;
  clearTxn(SLOT)
}

inline clearTxn(SLOT) {
  if :: SLOT == 0 && txn[1].used -> moveTxn() :: else ->
    txn[SLOT].used = 0; txn[SLOT].due = 0; txn[SLOT].order = 0; txn[SLOT].hand = 0;
    txn[SLOT].by = 0; txn[SLOT].term = 0; txn[SLOT].num = 0; txn[SLOT].epoch = 0;
    txn[SLOT].mterm = 0
  fi
}

inline moveTxn() {
  txn[0].due = txn[1].due; txn[0].order = txn[1].order; txn[0].hand = txn[1].hand;
  txn[0].by = txn[1].by; txn[0].term = txn[1].term; txn[0].num = txn[1].num;
  txn[0].epoch = txn[1].epoch; txn[0].mterm = txn[1].mterm;
  txn[1].used = 0; txn[1].due = 0; txn[1].order = 0; txn[1].hand = 0;
  txn[1].by = 0; txn[1].term = 0; txn[1].num = 0; txn[1].epoch = 0; txn[1].mterm = 0
}

#if defined(WEAK) || defined(BLIND_WRITE_MUTANT)
#define takes(SLOT) true
#else
#define takes(SLOT) \
  sameMarker(vEpoch, vTerm, vHand, wr[SLOT].xEpoch, wr[SLOT].xTerm, wr[SLOT].xHand)
#endif

inline put(EPOCH, TERM, HAND) {
  if
  :: below(EPOCH, TERM, HAND, vEpoch, vTerm, vHand) ->
#if !defined(WEAK) || defined(NEVER_BACK)
    assert(false)
#else
    skip
#endif
  :: else
  fi;
  vEpoch = EPOCH; vTerm = TERM; vHand = HAND
}

inline landWrite(SLOT) {
  if :: takes(SLOT) -> put(wr[SLOT].epoch, wr[SLOT].mterm, wr[SLOT].hand) :: else fi;
  endWrite(SLOT)
}

inline endWrite(SLOT) {
  if
  :: wr[SLOT].due -> r[wr[SLOT].by].writing = 0; r[wr[SLOT].by].fresh = 0
  :: else
  fi;
  if :: SLOT == 0 && wr[1].used -> moveWrite() :: else ->
    wr[SLOT].used = 0; wr[SLOT].due = 0; wr[SLOT].hand = 0; wr[SLOT].xHand = 0;
    wr[SLOT].by = 0; wr[SLOT].epoch = 0; wr[SLOT].mterm = 0; wr[SLOT].xEpoch = 0;
    wr[SLOT].xTerm = 0
  fi
}

inline moveWrite() {
  wr[0].due = wr[1].due; wr[0].hand = wr[1].hand; wr[0].xHand = wr[1].xHand;
  wr[0].by = wr[1].by; wr[0].epoch = wr[1].epoch; wr[0].mterm = wr[1].mterm;
  wr[0].xEpoch = wr[1].xEpoch; wr[0].xTerm = wr[1].xTerm;
  wr[1].used = 0; wr[1].due = 0; wr[1].hand = 0; wr[1].xHand = 0;
  wr[1].by = 0; wr[1].epoch = 0; wr[1].mterm = 0; wr[1].xEpoch = 0; wr[1].xTerm = 0
}

/* ---------------------------------------------------------------- the world */

inline asked(WHO) {
  if
  :: holder == WHO -> ttl = TTL; r[WHO].gotTerm = leaseTerm; r[WHO].gotInc = inc; r[WHO].asking = 2
  :: holder == NONE ->
    rev++;
    holder = WHO; leaseTerm = base + rev; ttl = TTL;
    assert(leaseTerm < 8);
    /* Under an etcd that a person stands behind, terms grow. */
    assert(ackedInc != inc || leaseTerm > acted);
    r[WHO].gotTerm = leaseTerm; r[WHO].gotInc = inc; r[WHO].asking = 2
  :: else -> r[WHO].asking = 0; r[WHO].age = 0
  fi
}

inline tick() {
  ticks--;
  k = 0;
  do
  :: k < N ->
    if :: r[k].own > 0 -> r[k].own-- :: else fi;
    if :: r[k].asking != 0 && r[k].age < TTL -> r[k].age++ :: else fi;
    k++
  :: else -> break
  od;
  k = 0;
  if
  :: ttl > 0 -> ttl--; if :: ttl == 0 -> holder = NONE; leaseTerm = 0 :: else fi
  :: else
  fi;
  if :: inc > ackedInc && sinceRestore < TTL -> sinceRestore++ :: else fi
}

#ifdef ACK_AT_ONCE_MUTANT
#define isOver true
#else
#define isOver (sinceRestore >= TTL)
#endif

/* The newest copy that a replica has becomes the group's, under a higher base of terms. */
inline ack() {
  best = 0; top = r[0].term; k = 1;
  do
  :: k < N ->
    if :: r[k].num > r[best].num -> best = k :: else fi;
    if :: r[k].term > top -> top = r[k].term :: else fi;
    k++
  :: else -> break
  od;
  head = r[best].num; docEpoch = r[best].epoch; docTerm = r[best].mterm; docHand = r[best].hand;
  done = r[best].done; wasDone = done;
#ifndef KEEP_BASE_MUTANT
  base = top;
#endif
  taken = (1 << (head + 1)) - 1;
  holder = NONE; leaseTerm = 0; ttl = 0;
  ackedInc = inc; sinceRestore = 0;
  best = 0; top = 0; k = 0
}

inline restore() {
  restores--; kept = 0;
  holder = bHolder; leaseTerm = bLeaseTerm; rev = bRev;
  ttl = (bHolder == NONE -> 0 : TTL);
  head = bHead; docEpoch = bEpoch; docTerm = bTerm; docHand = bHand; done = bDone; order = bOrder;
  taken = (1 << (head + 1)) - 1; wasDone = done;
  inc++; sinceRestore = 0;
  bHolder = 0; bLeaseTerm = 0; bRev = 0; bHead = 0; bEpoch = 0; bTerm = 0; bHand = 0;
  bDone = 0; bOrder = 0
}

proctype World() {
  byte k, j, best, top;
end:
  do
  :: atomic { ticks > 0 -> tick() }
  :: atomic { r[0].asking == 1 -> asked(0) }
  :: atomic { r[1].asking == 1 -> asked(1) }
#if N > 2
  :: atomic { r[2].asking == 1 -> asked(2) }
#endif
  :: atomic { txn[0].used -> landTxn(0) }
  :: atomic { txn[1].used -> landTxn(1) }
  :: atomic { wr[0].used -> landWrite(0) }
  :: atomic { wr[1].used -> landWrite(1) }
#if ORDERS > 0
  :: atomic { saying > 0 && !order -> saying--; order = 1 }
#endif
#if DIRECTS > 0
  :: atomic { directs > 0 -> directs--; handEpoch = vEpoch + 1;
      put(handEpoch, 0, 1) }
#endif
#if RESTORES > 0
  /* The backup is of just after the first commit, with whatever lease there is by then. */
  :: atomic { restores > 0 && !kept && head == 1 -> kept = 1;
      bHolder = holder; bLeaseTerm = leaseTerm; bRev = rev; bHead = head;
      bEpoch = docEpoch; bTerm = docTerm; bHand = docHand; bDone = done; bOrder = order }
  :: atomic { kept -> restore() }
  :: atomic { inc > ackedInc && isOver -> ack() }
#endif
  /* Nothing can happen any more: what the head says stands at the vendor. */
#if RESTORES == 0
  :: timeout ->
    assert(sameMarker(vEpoch, vTerm, vHand, docEpoch, docTerm, docHand));
#ifdef HAND_KEPT
    /* What was switched by hand was followed, or is behind what came after it. */
    assert(docEpoch >= handEpoch);
#endif
    break
#endif
  od
}

init {
  atomic {
    byte k = 0;
    do
    :: k < N -> r[k].epoch = 1; run Replica(k); k++
    :: else -> break
    od;
    run World()
  }
}
