/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Copies of pages under an MMU notifier, for Spin; src/family.rs says what is
 * modelled. Needs PAGES, DEVICES and UNDER_LOCK (1, or 0 for at range_end).
 *
 * What nobody reads, whether the range is open and whether the CPU's TLB may
 * hold the old entry, is local to its process: that is all that a text can do
 * for Spin's partial order reduction, and changes nothing without it.
 */
#define ABSENT 0
#define OLD    1
#define NEW    2

byte entry[PAGES] = OLD;
bit  locked;                    /* one page table lock for all pages */
byte stores;                    /* new pages 0 .. stores-1 hold the new value */
byte cached[DEVICES * PAGES];   /* what each device has of each entry */

#define CACHED(device, page) cached[(device) * PAGES + (page)]

/* All devices forget a page: one step, whatever their number. */
inline notify(page) {
  n = 0;
  do
  :: n < DEVICES -> CACHED(n, page) = ABSENT; n++
  :: else -> break
  od;
  n = 0
}

active [PAGES] proctype copy() {
  byte n;
  bit open, cpu_tlb = 1;

  open = 1;                                       /* range_start */
  d_step { !locked -> locked = 1 };
  d_step { entry[_pid] = ABSENT };
  cpu_tlb = 0;
#if UNDER_LOCK
  d_step { notify(_pid) };
#endif
  d_step { entry[_pid] = NEW };
  d_step { locked = 0 };
#if UNDER_LOCK
  open = 0                                        /* range_end */
#else
  d_step { open = 0; notify(_pid) }
#endif
  ;
end: false          /* a process that ended would be one more step */
}

active proctype writer() {
end:
  do
  :: d_step { stores < PAGES && entry[stores] == NEW -> stores++ }
  od
}

#define DEVICE (_pid - PAGES - 1)

active [DEVICES] proctype reader() {
  byte left = PAGES;            /* pages left-1 .. 0 are still to be read */
  bit seen, value;
end:
  do
  :: d_step {
       left > 0 && CACHED(DEVICE, left - 1) != ABSENT ->
       left--;
       value = (CACHED(DEVICE, left) == NEW && left < stores);
       assert(value || !seen);
       seen = seen || value;
       value = 0
     }
  od
}

#undef DEVICE
#define DEVICE (_pid - PAGES - 1 - DEVICES)
#define FILL(page) \
  d_step { CACHED(DEVICE, page) == ABSENT && entry[page] != ABSENT -> \
           CACHED(DEVICE, page) = entry[page] }

active [DEVICES] proctype walker() {
end:
  do
  :: FILL(0)
#if PAGES > 1
  :: FILL(1)
#endif
#if PAGES > 2
  :: FILL(2)
#endif
#if PAGES > 3
  :: FILL(3)
#endif
#if PAGES > 4
  :: FILL(4)
#endif
#if PAGES > 5
  :: FILL(5)
#endif
  od
}
