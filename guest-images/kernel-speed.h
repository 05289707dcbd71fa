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

#ifdef LINKER_SCRIPT
/* The two pages of entry code have a huge page before and behind them, for page table isolation. This kernel has none, and a host would
 * give the guest two more huge pages for next to nothing. */
#include <asm/pgtable_types.h>
#undef PMD_SIZE
#define PMD_SIZE PAGE_SIZE
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
#include <linux/mmzone.h>
#include <linux/prefetch.h>
#define clear_page clear_page_rep
#define prefetchw(place) ((void)(place))
/* A section that has memory keeps it (there is no CONFIG_MEMORY_HOTPLUG): do not look it up again for each of its pages. */
static inline int pfn_valid_as_before(unsigned long page)
{
	static unsigned long valid_section = -1ul;
	if (pfn_to_section_nr(page) == valid_section)
		return 1;
	if (!pfn_valid(page))
		return 0;
	valid_section = pfn_to_section_nr(page);
	return 1;
}
#define pfn_valid pfn_valid_as_before
#endif

#ifdef PLAIN_FEATURE_TESTS
/* A test of a processor's feature that is patched costs 900 instructions at boot, and saves two each time. */
#include <asm/cpufeature.h>
#undef static_cpu_has
#define static_cpu_has boot_cpu_has
#endif

#ifdef EVENTS_FOR_PROCESSES
/* A process listens to events of devices. Up to the first one an event is for nobody, and telling of it costs 3,000 instructions. */
#include <linux/kernel.h>
#include <linux/device.h>
static inline bool nobody_listens(struct kobject *object, enum kobject_action action)
{
	if (system_state >= SYSTEM_RUNNING)
		return false;
	if (action == KOBJ_ADD)
		object->state_add_uevent_sent = 1; /* the end of the object is told */
	return true;
}
#define uevent_suppress uevent_suppress || nobody_listens(kobj, action)
#endif

#ifdef PARAMETERS_AT_ONCE
/* params.c removes the files of a module's parameters and makes them again for each further one: make them once, when all are known. */
#include <linux/module.h>
#define sysfs_remove_group(object, group) ((void)0)
#define sysfs_create_group(object, group) 0
#undef subsys_initcall
#define subsys_initcall(function)								\
	static int __init function##_at_once(void)						\
	{											\
		int error = function();								\
		struct kobject *object;								\
		if (error)									\
			return error;								\
		list_for_each_entry(object, &module_kset->list, entry)				\
			if (to_module_kobject(object)->mp)					\
				BUG_ON((sysfs_create_group)(object, &to_module_kobject(object)->mp->grp));	\
		return 0;									\
	}											\
	__define_initcall(function##_at_once, 4)
#endif

#ifdef END_OF_MEMORY_FIRST
/* Mapping memory asks 8,000 times whether a range has any, and nearly all are above the last entry of the table, which is sorted. */
#include <asm/e820/api.h>
static inline bool below_end_and_mapped(u64 start, u64 end, enum e820_type type)
{
	const struct e820_entry *last = &e820_table->entries[e820_table->nr_entries - 1];
	return start < last->addr + last->size && e820__mapped_any(start, end, type);
}
#define e820__mapped_any below_end_and_mapped
#endif

#ifdef NOTHING_READ_ONLY
/* With rodata=off nothing was made read-only that would have to become writable before it is freed. */
#include <linux/init.h>
#include <asm/set_memory.h>
#define set_memory_rw(start, pages) (rodata_enabled ? set_memory_rw(start, pages) : 0)
#endif

#ifdef FAULT_AROUND_PARAMETER
/* A page fault of a file maps 16 pages around it, if they are in memory. To map and unmap one that nobody uses is half of what a page fault
 * takes where both are interpreted. Without debugfs nobody could set how many bytes these are: init does, by a parameter of memory.c. */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <asm/page.h>
static unsigned long fault_around_bytes;
static int set_fault_around(const char *text, const struct kernel_param *parameter)
{
	unsigned long bytes;
	int error = kstrtoul(text, 0, &bytes);
	if (error)
		return error;
	if (bytes < PAGE_SIZE || bytes > 65536 || bytes & (bytes - 1))
		return -EINVAL;
	fault_around_bytes = bytes;
	return 0;
}
static const struct kernel_param_ops fault_around_operations = { .set = set_fault_around, .get = param_get_ulong };
module_param_cb(fault_around_bytes, &fault_around_operations, &fault_around_bytes, 0644);
#endif

#ifdef SHORT_DECODING
/* Whether a place that is patched has a nop is asked by decoding it, 250 instructions. Most of them have one instruction of a kind
 * whose length the first bytes tell: calls, jumps, STAC, CLAC, fences. */
#include <asm/insn.h>
static inline int decode_kernel(struct insn *insn, const u8 *code)
{
	int length = (code[0] & 0xfe) == 0xe8 ? 5 :
		     code[0] == 0xeb ? 2 :
		     code[0] == 0x0f && (code[1] == 0x01 || code[1] == 0xae) && code[2] >= 0xc0 ? 3 : 0;
	if (!length)
		return insn_decode(insn, code, MAX_INSN_SIZE, INSN_MODE_KERN);
	insn->length = length;
	insn->opcode.bytes[0] = code[0];
	insn->immediate.value = length == 5 ? *(const s32 *)(code + 1) : (s8)code[1];
	return 0;
}
#undef insn_decode_kernel
#define insn_decode_kernel decode_kernel
#endif

#endif
