// SPDX-License-Identifier: Apache-2.0
//
// The part of the guest's agent that takes the host's messages apart, for fuzzing: guest-images/init/agent-request.h.
#ifndef MARTLET_CGUEST_AGENT_H
#define MARTLET_CGUEST_AGENT_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// Gives an agent that was asked for nothing yet messages, one behind the other; returns the first error, or 0.
///
/// A message that is cut short ends them. `argument_count` and `text_count` are what the agent kept of them.
int cguest_agent_configure(const uint8_t *bytes, size_t byte_count, uint32_t *argument_count, size_t *text_count);

#pragma clang assume_nonnull end

#endif
