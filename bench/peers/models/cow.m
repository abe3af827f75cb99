-- SPDX-License-Identifier: MIT OR Apache-2.0
--
-- Copies of pages under an MMU notifier, for Rumur; src/family.rs says what is
-- modelled. The constants PAGES, DEVICES and UNDER_LOCK are put before this.
--
-- An entry follows from how far its copy is, and what a new page holds from
-- how far the writer is: neither is stored. One rule takes all steps of a copy,
-- because a rule for each would be a guard for each, asked in every state.

const
  -- What a copy does next; 0 is range_start.
  AT_LOCK: 1; AT_CLEAR: 2; AT_FLUSH: 3; AT_NOTIFY: 4; AT_SET: 5; AT_UNLOCK: 6; AT_END: 7;
  DONE: 8;
  ABSENT: 0; OLD: 1; NEW: 2;

type
  page: 0 .. PAGES - 1;
  count: 0 .. PAGES;
  device: scalarset(DEVICES);
  entry: ABSENT .. NEW;
  place: 0 .. DONE;

var
  at: array [page] of place;
  stores: count;
  cached: array [device] of array [page] of entry;
  left: array [device] of count;
  seen: array [device] of boolean;

function entry_at(p: place): entry; begin
  if p <= AT_CLEAR then return OLD; end;
  if p <= AT_SET then return ABSENT; end;
  return NEW;
end;

function locked(): boolean; begin
  for p: page do
    if at[p] >= AT_CLEAR & at[p] <= AT_UNLOCK then return true; end;
  end;
  return false;
end;

procedure notify(p: page); begin
  for d: device do cached[d][p] := ABSENT; end;
end;

startstate begin
  for p: page do at[p] := 0; end;
  stores := 0;
  for d: device do
    left[d] := PAGES;
    seen[d] := false;
    for p: page do cached[d][p] := ABSENT; end;
  end;
end;

ruleset p: page do
  rule "copy" at[p] < DONE & !(at[p] = AT_LOCK & locked()) ==> begin
    if at[p] = AT_NOTIFY | (UNDER_LOCK = 0 & at[p] = AT_END) then notify(p); end;
    if UNDER_LOCK = 0 & at[p] = AT_FLUSH then at[p] := AT_SET; else at[p] := at[p] + 1; end;
  end;
end;

rule "store" stores < PAGES & entry_at(at[stores]) = NEW ==> begin stores := stores + 1; end;

ruleset d: device do
  rule "read" left[d] > 0 & cached[d][left[d] - 1] != ABSENT ==>
  var value: boolean;
  begin
    left[d] := left[d] - 1;
    value := cached[d][left[d]] = NEW & left[d] < stores;
    if seen[d] & !value then error "an old value after a new one"; end;
    seen[d] := seen[d] | value;
  end;

  ruleset p: page do
    rule "fill" cached[d][p] = ABSENT & entry_at(at[p]) != ABSENT ==>
    begin cached[d][p] := entry_at(at[p]); end;
  end;
end;
