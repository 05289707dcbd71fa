// SPDX-License-Identifier: Apache-2.0

// The least that a process in C costs.
int main(void) { return 0; }
