/* SPDX-License-Identifier: Apache-2.0 */
/* kernel.sh has every file of the kernel begin with this. A boot runs little more than once over most of the kernel: on a host that
 * interprets it, each instruction counts. kernel.sh says which parts are for which files. */
#ifdef __ASSEMBLY__

#ifdef REP_STRINGS
/* memset and memcpy are for any processor, with loops, until the kernel has patched itself. Every processor of 64 bits has `rep stosq`
 * and `rep movsq`, which an interpreter repeats in half the time of such a loop: begin with them. */
#include <asm/alternative.h>
.macro BY_REP loop, rep, rep_feature, erms, erms_feature
	ALTERNATIVE "", "\erms", \erms_feature
.endm
#define ALTERNATIVE_2 BY_REP
#endif

#else

/* Functions of a boot are not cold: gcc would make them small rather than fast, as it does with all that is marked so. */
#undef __cold
#define __cold

/* What single files do as if an option were off. */
#ifdef WITHOUT_SYSFS
#undef CONFIG_SYSFS
#endif
#ifdef WITHOUT_CPU_AUTOPROBE
#undef CONFIG_GENERIC_CPU_AUTOPROBE
#endif

#ifdef SCANNING_STRLEN
/* lib/string.c leaves out what an architecture has better. An interpreter repeats `scasb` in a third of the time of a loop's turn; a
 * processor takes much longer for it. The one has no ERMS (clearcpuid= in the kernel's parameters), the other does. */
#include <asm/cpufeature.h>
#define __HAVE_ARCH_STRLEN
unsigned long strlen(const char *text)
{
	const char *end = text;
	if (boot_cpu_has(X86_FEATURE_ERMS)) {
		while (*end)
			end++;
		return end - text;
	}
	unsigned long left = -1ul;
	asm("repne scasb" : "+D" (end), "+c" (left) : "a" (0) : "memory", "cc");
	return -2ul - left;
}
#endif

#ifdef PLAIN_PAGES
/* A loop over all pages walks memory in order, for which no processor needs a hint, and pages are cleared by `rep stosq` on all of them:
 * 320 places less that a boot would patch. */
#include <asm/page.h>
#include <linux/prefetch.h>
#define clear_page clear_page_rep
#define prefetchw(place) ((void)(place))
#endif

#ifdef PLAIN_FEATURE_TESTS
/* A test of a processor's feature that is patched costs 900 instructions at boot, and saves two each time. */
#include <asm/cpufeature.h>
#undef static_cpu_has
#define static_cpu_has boot_cpu_has
#endif

#endif
