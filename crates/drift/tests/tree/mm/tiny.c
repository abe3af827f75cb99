/* Functions of a kernel that does not exist. */

static inline int tiny_same(unsigned long va)
{
	return va != 0; /* a comment that may change */
}

#ifdef CONFIG_TINY
static int tiny_twice(unsigned long va) { return 1; }
#else
static int tiny_twice(unsigned long va) { return 0; }
#endif

static void __always_inline *tiny_changed(unsigned long va)
{
	return (void *)(va + 1);
}

/* A macro between the type and the name, as kernels have them. */
TINY_DEFINE(long) tiny_odd(unsigned long va)
{
	return 0;
}
