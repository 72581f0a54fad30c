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
#define LOSSES 2         /* messages that are lost, or late beyond their deadline */
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
#define BY_HAND 15       /* id of an operator's direct switch */

/* ---------------------------------------------------------------- etcd */

byte holder = NONE, leaseTerm = 0, ttl = 0;
byte rev = 0, base = 0;
byte head = 0, docEpoch = 1, docTerm = 0, docId = 0;
bit done = 0, order = 0;
byte inc = 0, ackedInc = 0;   /* the cluster's id; and the newest one that a person has acked */

bit kept = 0;                 /* a backup was made: */
byte bHolder, bLeaseTerm, bRev, bHead, bEpoch, bTerm, bId;
bit bDone, bOrder;
byte sinceRestore = 0;

/* ---------------------------------------------------------------- the vendor */

byte vEpoch = 1, vTerm = 0, vId = 0;

/* ---------------------------------------------------------------- replicas */

typedef Replica_t {
  byte own;                   /* ticks for which it may act, as it believes */
  byte asking, age;           /* 1: asked for the lease, 2: granted, the reply is under way; since when */
  byte gotTerm, gotInc;
  byte term, inc;
  bit restored;               /* it knows that etcd was put back: it does nothing */
  byte num, epoch, mterm, id; /* the documents as it knows them; they outlive a restart */
  bit done;
  byte waiting, att;          /* of a commit: 1 sent, 2 done, 3 refused, the reply under way */
  bit fresh, writing;         /* what stands at the vendor was read and holds; a write is under way */
  byte sEpoch, sTerm, sId;
#ifdef UNKNOWN_IS_DONE_MUTANT
  byte pEpoch, pId;
#endif
}
Replica_t r[N];

typedef Txn_t { bit used; byte by, term, num, epoch, mterm, id, att; bit order }
Txn_t txn[2];                 /* under way to etcd; they land in any order */

typedef Write_t { bit used; byte by, epoch, mterm, id, xEpoch, xTerm, xId }
Write_t wr[2];                /* under way to the vendor; they land in any order */

byte ticks = TICKS, losses = LOSSES, decisions = DECISIONS, saying = ORDERS;
byte directs = DIRECTS, restores = RESTORES;
byte attempt = 0, hand = 0;

/* ---------------------------------------------------------------- what must never happen */

short taken = 1;              /* numbers of the head that were committed */
short known = 1;              /* markers that were committed, by id */
bit wasDone = 0;              /* the order's effect has happened */
byte acted = 0;               /* the highest term under which anybody has acted */
bit wentBack = 0;             /* the vendor has shown an older marker after a newer one */

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

#define isFree(s) (!s[0].used || !s[1].used)
#define may(i) (r[i].own > 0 && !r[i].restored)
/* The order of markers: epoch, then an operator's before a machine's, then the term. */
#define below(e1, t1, d1, e2, t2, d2) \
  (e1 < e2 || (e1 == e2 && d1 != BY_HAND && (d2 == BY_HAND || t1 < t2)))
#define sameMarker(e1, t1, d1, e2, t2, d2) (e1 == e2 && t1 == t2 && d1 == d2)
/* A genuine order by hand that it does not know of yet. */
#define byHand(i) (r[i].sId == BY_HAND && \
  below(r[i].epoch, r[i].mterm, r[i].id, r[i].sEpoch, r[i].sTerm, r[i].sId))

#ifdef NO_FENCE_MUTANT
#define mayWrite(i) \
  !sameMarker(r[i].sEpoch, r[i].sTerm, r[i].sId, r[i].epoch, r[i].mterm, r[i].id)
#else
#define mayWrite(i) \
  below(r[i].sEpoch, r[i].sTerm, r[i].sId, r[i].epoch, r[i].mterm, r[i].id)
#endif

#ifdef NO_DONE_MUTANT
#define owes(i) (order)
#else
#define owes(i) (order && !r[i].done)
#endif

inline learn(WHO) {
  r[WHO].num = head; r[WHO].epoch = docEpoch; r[WHO].mterm = docTerm; r[WHO].id = docId;
  r[WHO].done = done
}

inline send(WHO, EPOCH, TERM, ID, ORDER) {
  acts(WHO);
  if :: !txn[0].used -> k = 0 :: else -> k = 1 fi;
  attempt++;
  txn[k].used = 1; txn[k].by = WHO; txn[k].term = r[WHO].term; txn[k].num = r[WHO].num;
  txn[k].epoch = EPOCH; txn[k].mterm = TERM; txn[k].id = ID; txn[k].att = attempt; txn[k].order = ORDER;
  r[WHO].waiting = 1; r[WHO].att = attempt;
#ifdef UNKNOWN_IS_DONE_MUTANT
  r[WHO].pEpoch = EPOCH; r[WHO].pId = ID;
#endif
  k = 0
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

  /* What stands at the vendor is read before acting, after a write, and now and then. */
  :: atomic { may(i) && !r[i].writing && (!r[i].fresh ||
      !sameMarker(r[i].sEpoch, r[i].sTerm, r[i].sId, vEpoch, vTerm, vId)) ->
      r[i].sEpoch = vEpoch; r[i].sTerm = vTerm; r[i].sId = vId; r[i].fresh = 1 }

  /* A commit: what was switched by hand is followed; an order; a decision of its own. */
  :: atomic { may(i) && r[i].fresh && r[i].waiting == 0 && isFree(txn) && byHand(i) ->
      send(i, r[i].sEpoch, r[i].sTerm, r[i].sId, 0) }
  :: atomic { may(i) && r[i].fresh && r[i].waiting == 0 && isFree(txn) && !byHand(i) && owes(i) ->
      next(i); e = k; send(i, e, r[i].term, attempt + 1, 1); e = 0 }
  :: atomic { may(i) && r[i].fresh && r[i].waiting == 0 && isFree(txn) && !byHand(i) &&
      decisions > 0 -> decisions--;
      next(i); e = k; send(i, e, r[i].term, attempt + 1, 0); e = 0 }

  :: atomic { r[i].waiting == 2 -> r[i].waiting = 0; r[i].att = 0;
      if :: r[i].inc == inc && !r[i].restored -> learn(i) :: else fi }
  :: atomic { r[i].waiting == 3 -> r[i].waiting = 0; r[i].att = 0; r[i].own = 0 }
  /* No reply within the deadline: it is read back, or the right to act is given up. */
  :: atomic { r[i].waiting != 0 && losses > 0 -> losses--; r[i].waiting = 0; r[i].att = 0;
#ifdef UNKNOWN_IS_DONE_MUTANT
      r[i].epoch = r[i].pEpoch; r[i].mterm = r[i].term; r[i].id = r[i].pId
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
      assert((known >> r[i].id) & 1);
      if :: !wr[0].used -> k = 0 :: else -> k = 1 fi;
      wr[k].used = 1; wr[k].by = i;
      wr[k].epoch = r[i].epoch; wr[k].mterm = r[i].mterm; wr[k].id = r[i].id;
      wr[k].xEpoch = r[i].sEpoch; wr[k].xTerm = r[i].sTerm; wr[k].xId = r[i].sId;
      r[i].writing = 1; k = 0 }
  /* No reply within the deadline: it may land still. */
  :: atomic { r[i].writing && losses > 0 -> losses--; r[i].writing = 0; r[i].fresh = 0 }

  /* An order that was said again and is done is answered for, not done. */
  :: atomic { may(i) && order && r[i].done && holder == i && leaseTerm == r[i].term -> order = 0 }
  od
}

/* ---------------------------------------------------------------- what lands */

#ifdef NO_LEASE_COMPARE_MUTANT
#define holds(t) true
#else
#define holds(t) (holder == txn[t].by && leaseTerm == txn[t].term)
#endif
#ifdef NO_HEAD_COMPARE_MUTANT
#define follows(t) true
#else
#define follows(t) (head == txn[t].num)
#endif

inline answered(SLOT, WORD) {
  if
  :: r[txn[SLOT].by].waiting == 1 && r[txn[SLOT].by].att == txn[SLOT].att -> r[txn[SLOT].by].waiting = WORD
  :: else
  fi
}

inline landTxn(SLOT) {
  if
  :: holds(SLOT) && follows(SLOT) ->
    /* A deposed one commits nothing; no number is committed twice. */
    assert(holder == txn[SLOT].by && leaseTerm == txn[SLOT].term);
    assert(!((taken >> (txn[SLOT].num + 1)) & 1));
    taken = taken | (1 << (txn[SLOT].num + 1));
    known = known | (1 << txn[SLOT].id);
    head = txn[SLOT].num + 1;
    docEpoch = txn[SLOT].epoch; docTerm = txn[SLOT].mterm; docId = txn[SLOT].id;
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
  txn[SLOT].used = 0; txn[SLOT].by = 0; txn[SLOT].term = 0; txn[SLOT].num = 0; txn[SLOT].epoch = 0;
  txn[SLOT].mterm = 0; txn[SLOT].id = 0; txn[SLOT].att = 0; txn[SLOT].order = 0
}

#if defined(WEAK) || defined(BLIND_WRITE_MUTANT)
#define takes(w) true
#else
#define takes(w) \
  sameMarker(vEpoch, vTerm, vId, wr[w].xEpoch, wr[w].xTerm, wr[w].xId)
#endif

inline put(EPOCH, TERM, ID) {
  if
  :: below(EPOCH, TERM, ID, vEpoch, vTerm, vId) ->
#ifdef WEAK
    wentBack = 1;
#ifdef NEVER_BACK
    assert(false);
#endif
#else
    assert(false);
#endif
  :: else
  fi;
  vEpoch = EPOCH; vTerm = TERM; vId = ID
}

inline landWrite(SLOT) {
  if :: takes(SLOT) -> put(wr[SLOT].epoch, wr[SLOT].mterm, wr[SLOT].id) :: else fi;
  endWrite(SLOT)
}

inline endWrite(SLOT) {
  if
  :: r[wr[SLOT].by].writing && (!wr[1 - SLOT].used || wr[1 - SLOT].by != wr[SLOT].by) ->
    r[wr[SLOT].by].writing = 0; r[wr[SLOT].by].fresh = 0
  :: else
  fi;
  wr[SLOT].used = 0; wr[SLOT].by = 0; wr[SLOT].epoch = 0; wr[SLOT].mterm = 0; wr[SLOT].id = 0;
  wr[SLOT].xEpoch = 0; wr[SLOT].xTerm = 0; wr[SLOT].xId = 0
}

/* ---------------------------------------------------------------- the world */

inline asked(WHO) {
  if
  :: holder == WHO -> ttl = TTL; r[WHO].gotTerm = leaseTerm; r[WHO].gotInc = inc; r[WHO].asking = 2
  :: holder == NONE ->
    rev++;
    holder = WHO; leaseTerm = base + rev; ttl = TTL;
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
  head = r[best].num; docEpoch = r[best].epoch; docTerm = r[best].mterm; docId = r[best].id;
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
  head = bHead; docEpoch = bEpoch; docTerm = bTerm; docId = bId; done = bDone; order = bOrder;
  taken = (1 << (head + 1)) - 1; wasDone = done;
  inc++; sinceRestore = 0;
  bHolder = 0; bLeaseTerm = 0; bRev = 0; bHead = 0; bEpoch = 0; bTerm = 0; bId = 0;
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
  :: atomic { losses > 0 && r[0].asking != 0 -> losses--; r[0].asking = 0; r[0].age = 0 }
  :: atomic { losses > 0 && r[1].asking != 0 -> losses--; r[1].asking = 0; r[1].age = 0 }
#if N > 2
  :: atomic { losses > 0 && r[2].asking != 0 -> losses--; r[2].asking = 0; r[2].age = 0 }
#endif
  :: atomic { txn[0].used -> landTxn(0) }
  :: atomic { txn[1].used -> landTxn(1) }
  :: atomic { losses > 0 && txn[0].used -> losses--; answered(0, 3); clearTxn(0) }
  :: atomic { losses > 0 && txn[1].used -> losses--; answered(1, 3); clearTxn(1) }
  :: atomic { wr[0].used -> landWrite(0) }
  :: atomic { wr[1].used -> landWrite(1) }
  :: atomic { losses > 0 && wr[0].used -> losses--; endWrite(0) }
  :: atomic { losses > 0 && wr[1].used -> losses--; endWrite(1) }
#if ORDERS > 0
  :: atomic { saying > 0 && !order -> saying--; order = 1 }
#endif
#if DIRECTS > 0
  :: atomic { directs > 0 -> directs--; k = vEpoch + 1; hand = k;
      put(k, 0, BY_HAND); known = known | (1 << BY_HAND); k = 0 }
#endif
#if RESTORES > 0
  :: atomic { restores > 0 && !kept -> kept = 1;
      bHolder = holder; bLeaseTerm = leaseTerm; bRev = rev; bHead = head;
      bEpoch = docEpoch; bTerm = docTerm; bId = docId; bDone = done; bOrder = order }
  :: atomic { kept -> restore() }
  :: atomic { inc > ackedInc && isOver -> ack() }
#endif
  /* Nothing can happen any more: what the head says stands at the vendor. */
#if RESTORES == 0
  :: timeout ->
    assert(sameMarker(vEpoch, vTerm, vId, docEpoch, docTerm, docId));
#ifdef HAND_KEPT
    /* What was switched by hand was followed, or is behind what came after it. */
    assert(docEpoch >= hand);
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
