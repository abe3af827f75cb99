//! What can be written, and what becomes of it.

use shootdown_litmus::program::{Agent, Arg, GlobalKind, Initial, Observed, OpKind, PlaceKind};
use shootdown_litmus::{
    Claim, Finding, HowOften, NoSources, Program, ResultWord, Setting, Type, Variant, check_source,
    variants,
};

fn checked(text: &str) -> Program {
    checked_as(text, &Variant::base())
}

fn checked_as(text: &str, variant: &Variant) -> Program {
    check_source("t.litmus", text, &NoSources, variant).unwrap_or_else(|error| panic!("{error}"))
}

/// The steps of a body in short: names of calls, and where branches lead.
fn steps(program: &Program, body: &str) -> String {
    let body = match program.function(body) {
        Some(function) => &function.body,
        None => &program.thread(body).expect("a function or thread").body,
    };
    let step = |kind: &OpKind| match kind {
        OpKind::Set { .. } => "set".to_owned(),
        OpKind::SetField { .. } => "field".to_owned(),
        OpKind::Load { .. } => "load".to_owned(),
        OpKind::Store { .. } => "store".to_owned(),
        OpKind::Primitive { primitive, .. } => primitive.name.to_owned(),
        OpKind::Call { function, .. } => program.functions[function.index()].name.to_string(),
        OpKind::Jump(to) => format!("jump {}", to.0),
        OpKind::Branch { yes, no, .. } => format!("branch {} {}", yes.0, no.0),
        OpKind::Return(_) => "return".to_owned(),
    };
    let steps: Vec<String> = body.ops.iter().map(|op| step(&op.kind)).collect();
    steps.join("; ")
}

#[test]
fn plain_litmus_reads_as_in_herd() {
    let program = checked(
        "C plain+litmus-1
\"a description\"
Generator=by hand
(* Result: Sometimes DATARACE *)
{ x=1; [y]=0x10; int *p=&x; atomic_t n = ATOMIC_INIT(3); int a[2]={1,2}; spinlock_t l; 0:r1=-5 }
void P0(volatile int *x, int **p, atomic_t *n, spinlock_t *l)
{
    int r1;
    int *q;
    q = READ_ONCE(*p);
    spin_lock(l);
    r2 = *q;
    spin_unlock(l);
    atomic_add(2, n);
    call_rcu(x, x);
    if (atomic_dec_and_test(n)) WRITE_ONCE(*x, r1); else *x = r2;
}
P1(int *a, int *z) { int r0 = a[1]; *(a + 0) = r0; *z = 'A'; }
locations [x; 0:r1 int*; a[1];]
filter (x=1)
~exists (0:q=x /\\ (x=1 \\/ not y<>2) /\\ a[1]=0x2 /\\ 1:r0=0:r1)
",
    );
    assert_eq!(&*program.header.name, "plain+litmus-1");
    assert_eq!(program.header.title.as_deref(), Some("a description"));
    assert_eq!(&*program.header.metadata[0].1, "by hand");
    let result = program.header.result.expect("a result");
    assert_eq!((result.word, result.data_race), (ResultWord::Sometimes, true));
    assert_eq!(program.locations.len(), 3);
    assert_eq!(program.not_covered.len(), 1); // call_rcu
    assert_eq!(program.warnings.len(), 1, "{}", program.warnings); // r2 is not declared
    assert_eq!(program.threads[0].init.len(), 1);
    assert_eq!(program.threads[0].init[0].1, Initial::Int(-5));
    let pointer = program.global("p").expect("declared");
    let x = program.globals.iter().position(|g| &*g.name == "x").expect("declared") as u32;
    let GlobalKind::Words { init, .. } = &pointer.kind else { panic!("a word") };
    assert!(matches!(init[0], Initial::AddressOf(id) if id.0 == x));
    assert_eq!(
        steps(&program, "P0"),
        "READ_ONCE; spin_lock; load; spin_unlock; atomic_add; call_rcu; \
         atomic_dec_and_test; branch 8 10; WRITE_ONCE; jump 11; store; return"
    );
    // The place comes first, whatever C says.
    let OpKind::Primitive { args, .. } = &program.threads[0].body.ops[4].kind else { panic!() };
    assert!(matches!(&args[0], Arg::Place(place) if matches!(place.kind, PlaceKind::Global(_))));
    assert_eq!(steps(&program, "P1"), "load; store; store; return");
    let condition = format!("{:?}", program.condition);
    assert!(condition.contains("AddressOf(GlobalId"), "{condition}");
    assert!(matches!(program.locations[2], Observed::Memory(_, 1)));
}

#[test]
fn control_flow_becomes_branches() {
    let program = checked(
        "C t
{ int x = 0; }
static int flow(int n)
{
    int i, sum = 0;

    for (i = 0; i < n; i++) {
        if (i == 2)
            continue;
        sum += i;
    }
    while (sum) { if (--sum == 1) break; }
    do sum |= 1; while (0);
    switch (n) {
    case 1:
    case 2: sum = 5; break;
    default: sum = n ? 6 : 7;
    }
    if (unlikely(!n) && READ_ONCE(x) || n == 3)
        goto out;
    sum--;
out:
    return sum;
}
P0(int *x) { int r = flow(2); }
exists (0:r=1)
",
    );
    let text = steps(&program, "flow");
    assert_eq!(text.matches("branch").count(), 11, "{text}");
    assert_eq!(text.matches("READ_ONCE").count(), 1);
    let body = &program.function("flow").expect("defined").body;
    let last = body.ops.len() as u32;
    for op in &body.ops {
        match op.kind {
            OpKind::Jump(to) => assert!(to.0 < last),
            OpKind::Branch { yes, no, .. } => assert!(yes.0 < last && no.0 < last),
            _ => {}
        }
    }
    assert_eq!(steps(&program, "P0"), "flow; return");
}

#[test]
fn kernel_code_pastes() {
    let program = checked(
        "C t
{
    map a -> Fa {7,8} : rw file huge dirty x3;
    map gone -> none;
    ptl split a;
    int seq = 0;
    struct kvm kvm;
    model sc, tso;
}
#define RETRIES 3
struct thing { int unused; };
static inline int helper(void);
static __always_inline int __maybe_unused
helper(void)
{
    return __helper();
}
static int __must_hold(l) __helper(void)
{
    int __user *nothing, __tries = RETRIES;

    return __tries;
}
__from(\"v6.1\", \"mm/x.c\", handler)
__from(\"v6.12\", \"mm/x.c\", callee) __implements(upgrade(vmf->address))
static vm_fault_t handler(struct vm_fault *vmf) __releases(vmf->ptl)
{
    struct vm_area_struct *vma = vmf->vma;
    struct mmu_notifier_range range = { .start = vmf->address, .end = vmf->address + PAGE_SIZE };
    struct folio *folio = page_folio(vmf->page);
    unsigned long addr = (unsigned long)vmf->address & PAGE_MASK;
    pte_t entry, *pte;
    int ret = 0, tries = helper();

    mmu_notifier_invalidate_range_start(&range);
    pte = pte_offset_map_lock(vma->vm_mm, vmf->pmd, addr, &vmf->ptl);
    entry = ptep_get(pte);
    if (pte_none(entry) || !pte_write(entry)) { ret |= VM_FAULT_RETRY; goto out; }
    set_pte_at(vma->vm_mm, addr, pte, pte_mkwrite(entry, vma));
    kvm.count++;
    WRITE_ONCE(seq, READ_ONCE(seq) + 1);
out:
    pte_unmap_unlock(pte, vmf->ptl);
    mmu_notifier_invalidate_range_end(&range);
    if (folio && tries)
        folio_put(folio);
    return ret;
}
fault cpu = handler;
P0(int *a) { a[1] = 2; mprotect(a, PROT_READ | PROT_WRITE); madvise(a, 1, MADV_DONTNEED); }
exists ([a]=7 /\\ Fa=7 /\\ seq=1)
",
    );
    assert!(program.warnings.is_empty(), "{}", program.warnings);
    assert_eq!(&*program.functions[program.faults[0].handler.index()].name, "handler");
    let handler = program.function("handler").expect("defined");
    let tags: Vec<&str> = handler.origins.iter().map(|origin| &*origin.tag).collect();
    assert_eq!(tags, ["v6.1", "v6.12"]);
    assert_eq!(handler.contract.as_ref().map(|contract| contract.arguments.len()), Some(1));
    assert_eq!(handler.contract.as_ref().unwrap().arguments[0].ty, Type::VirtAddr);
    let text = steps(&program, "handler");
    assert!(text.starts_with("set; field; field; set; set; set; helper; "), "{text}");
    assert!(text.contains("pte_mkwrite; set_pte_at; load; store; READ_ONCE; WRITE_ONCE"), "{text}");
    let flushes = handler.body.ops.iter().find_map(|op| match &op.kind {
        OpKind::Primitive { primitive, args, .. } if primitive.name.ends_with("_start") => {
            Some(args.len())
        }
        _ => None,
    });
    assert_eq!(flushes, Some(4), "a range is its start and its end, its event and its owner");
}

#[test]
fn agents_and_their_defaults() {
    let program = checked(
        "C t
{
    mm child;
    map a -> Fa;
    iotlb U <- mm; atc T <- U; queue Q -> U, T;
    device d : T, pasid 3, order relaxed;
    swtlb S; tlb G <- S;
}
P0(int *a) { } P1@child(int *a) { } D0(int *a) { } D4@d(int *a) { } V0(int *a) { }
exists (D0:fault)
",
    );
    let agents: Vec<&Agent> = program.threads.iter().map(|thread| &thread.agent).collect();
    assert!(matches!(agents[1], Agent::Cpu(space) if space.0 == 1));
    assert_eq!(agents[2], agents[3]);
    assert!(matches!(agents[4], Agent::Guest(_)));
}

#[test]
fn the_most_specific_expectation_wins() {
    let text = "C t
{ int x = 0; }
#if defined(A) && !defined(B)
#elif defined(C)
#endif
P0(int *x) { }
exists (x=0)
expect {
    * : clean, Never;
    A : NEW at \"set_pte_at\", FREE, Sometimes;
    A B model sc, tso : uncovered;
    * machine iommu-only kernel v6.1.192 : REST;
    A param p=yes q=3 : unexercised;
}
";
    let offered = variants("t", text, &NoSources).expect("a file");
    assert_eq!(offered.switches, ["A", "B", "C"]);
    let names: Vec<String> = offered.listed.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["base", "C", "A", "A B"]);
    let program = checked_as(text, &Variant::new(["A"]));
    let a = Setting { variant: Variant::new(["A"]), model: "sc", ..Setting::default() };
    let line = program.expectations.judge(&a).expect("judged");
    assert_eq!(line.outcome, Some(HowOften::Sometimes));
    assert!(matches!(&line.claims[0],
        Claim::Violated { finding: Finding::New, step: Some(step) } if &**step == "set_pte_at"));
    let params = [("p", "yes"), ("q", "3"), ("other", "no")];
    let line = program.expectations.judge(&Setting { params: &params, ..a.clone() });
    assert_eq!(line.expect("judged").claims, [Claim::NotExercised]);
    let machine = Setting {
        machine: Some("iommu-only"),
        kernel: Some("v6.1.192"),
        model: "sc",
        ..Setting::default()
    };
    let line = program.expectations.judge(&machine).expect("judged");
    assert!(matches!(line.claims[0], Claim::Violated { finding: Finding::Rest, .. }));
}
