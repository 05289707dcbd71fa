/* SPDX-License-Identifier: Apache-2.0 */
/* Included behind compiler_attributes.h in every file. gcc compiles what is marked as cold for size, and __init functions are
 * marked so. A boot runs little else: on a host that interprets the kernel, each instruction counts. */
#undef __cold
#define __cold
