// SPDX-License-Identifier: Apache-2.0

#include "CGuestAgent.h"

#include <stdlib.h>

#include "../../../guest-images/init/agent-request.h"

int cguest_agent_configure(const uint8_t *bytes, size_t byte_count, uint32_t *argument_count, size_t *text_count) {
    struct agent_request *request = calloc(1, sizeof *request);
    int error = request ? 0 : -1;
    while (byte_count >= 8 && error == 0) {
        uint32_t count = bytes[4] | bytes[5] << 8 | bytes[6] << 16 | (uint32_t)bytes[7] << 24;
        if (count > AGENT_PAYLOAD_LIMIT || count > byte_count - 8) break;
        // A copy of its own: AddressSanitizer watches the ends of it.
        uint8_t *payload = malloc(count ? count : 1);
        for (uint32_t i = 0; i < count; i++) payload[i] = bytes[8 + i];
        error = agent_configure(request, bytes[0], payload, count);
        free(payload);
        bytes += 8 + count;
        byte_count -= 8 + count;
    }
    if (request) {
        *argument_count = request->argument_count;
        *text_count = request->text_count;
    }
    free(request);
    return error;
}
