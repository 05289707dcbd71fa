// SPDX-License-Identifier: Apache-2.0
//
// The agent's messages, and how those that describe a program become a `struct agent_request`: docs/agent.md. No system
// calls here: a fuzzer on the host includes this file as it is.

#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    AGENT_VERSION = 3,          // 1 and 2 are served too: 1 lacks FRAME_POD and FRAME_DISKS, both lack FRAME_PATH and FRAME_FILTER
    AGENT_PORT = 1000,
    AGENT_PAYLOAD_LIMIT = 65536,
    AGENT_INPUT_WINDOW = 65536,
};

enum agent_frame {
    // The host's, before an operation.
    FRAME_HELLO = 1, FRAME_CLOCK, FRAME_ARGUMENT, FRAME_VARIABLE, FRAME_USER, FRAME_FOLDER, FRAME_CAPABILITIES, FRAME_LIMIT,
    FRAME_OPTIONS, FRAME_CONTAINER, FRAME_ROOT, FRAME_MOUNT, FRAME_STAGE, FRAME_SETTING, FRAME_HOST_NAME, FRAME_SIZE,
    FRAME_INTERFACE, FRAME_ROUTE, FRAME_POD,
    FRAME_PATH = 24, FRAME_FILTER,
    // Files, in either direction.
    FRAME_ENTRY = 20, FRAME_DATA, FRAME_END,
    // Operations: one a connection.
    FRAME_RUN = 32, FRAME_GET, FRAME_PUT, FRAME_PROCESSES, FRAME_DISKS,
    // The host's, while a program runs; FRAME_SIZE too.
    FRAME_INPUT = 40, FRAME_INPUT_END, FRAME_SIGNAL,
    // The guest's.
    FRAME_STARTED = 64, FRAME_FAILED, FRAME_OUTPUT, FRAME_ERROR_OUTPUT, FRAME_TAKEN, FRAME_EXIT, FRAME_DONE, FRAME_PROCESS,
};

enum { OPTION_TERMINAL = 1, OPTION_NO_NEW_PRIVILEGES = 2, OPTION_READ_ONLY_ROOT = 4, OPTION_LATE_START = 8 };
enum agent_place { PLACE_GUEST, PLACE_NEW_CONTAINER, PLACE_CONTAINER, PLACE_CONTAINER_IF_THERE };
enum { STAGE_READ_ONLY = 1 };
enum { PATH_READ_ONLY, PATH_MASKED };
enum { FILTER_FLAGS = 2 | 4 };  // SECCOMP_FILTER_FLAG_LOG and _SPEC_ALLOW
enum { SHARES_PROCESSES = 1, SHARES_IPC = 2 };

// Numbers of errno, which are part of the messages; the same in every Linux of x86-64.
enum { AGENT_EINVAL = 22, AGENT_E2BIG = 7, AGENT_EPROTO = 71 };

enum {
    STRING_LIMIT = 4096, TEXT_LIMIT = 512 << 10, GROUP_LIMIT = 64, LIMIT_LIMIT = 16, MOUNT_LIMIT = 128, SETTING_LIMIT = 64,
    INSTRUCTION_LIMIT = 4096,   // BPF_MAXINSNS
};

struct agent_limit {
    uint32_t resource;
    uint64_t soft, hard;
};
/// The limits of a container that has a control group; 0 for none.
struct agent_group {
    uint64_t memory, processes, quota, period;  // bytes; a number; microseconds of a processor in so many
};
struct agent_mount {
    uint64_t flags;             // MS_*, STAGE_* or PATH_*
    const char *source, *target, *type, *data;
    enum { MOUNT_FILE_SYSTEM, MOUNT_STAGE, MOUNT_PATH } kind;
};
/// An instruction of a filter of system calls, as struct sock_filter.
struct agent_instruction {
    uint16_t code;
    uint8_t if_true, if_false;
    uint32_t operand;
};

/// Everything about a program that is to run. Strings lie in `text`. The fields before `settings` are zero at first.
struct agent_request {
    uint32_t version, options, place, uid, gid, umask, group_count, limit_count, mount_count, stage_count, setting_count;
    uint32_t string_count;      // arguments and variables together
    uint32_t argument_count, variable_count;
    uint32_t has_user, has_capabilities, is_in_pod, shared;
    uint32_t filter_flags, instruction_count;
    struct agent_group group;
    uint16_t rows, columns;
    uint64_t capabilities[5];   // bounding, permitted, effective, inheritable, ambient
    const char *folder, *container, *base, *scratch, *host_name, *domain_name;
    const char *settings[SETTING_LIMIT][2];
    uint32_t groups[GROUP_LIMIT];
    struct agent_limit limits[LIMIT_LIMIT];
    struct agent_mount mounts[MOUNT_LIMIT];
    struct agent_instruction instructions[INSTRUCTION_LIMIT];
    const char *arguments[STRING_LIMIT + 1], *variables[STRING_LIMIT + 1];
    size_t text_count;
    char text[TEXT_LIMIT];
};

/// The rest of a payload. Reading beyond its end gives zeros and sets `is_short`.
struct agent_payload {
    const uint8_t *at, *end;
    int is_short;
};

static inline uint64_t take_number(struct agent_payload *payload, unsigned byte_count) {
    uint64_t value = 0;
    if ((size_t)(payload->end - payload->at) < byte_count) {
        payload->is_short = 1;
        return 0;
    }
    for (unsigned i = 0; i < byte_count; i++) value |= (uint64_t)payload->at[i] << 8 * i;
    payload->at += byte_count;
    return value;
}

/// The payload's next string, in place: it ends with a zero byte.
static inline const char *take_string(struct agent_payload *payload) {
    const uint8_t *start = payload->at;
    while (payload->at < payload->end && *payload->at) payload->at++;
    if (payload->at == payload->end) {
        payload->is_short = 1;
        return "";
    }
    payload->at++;
    return (const char *)start;
}

/// The payload's next string, copied to where it lasts as long as the request; null where there is no room.
static inline const char *keep_string(struct agent_request *request, struct agent_payload *payload) {
    const char *from = take_string(payload), *kept = request->text + request->text_count;
    do {
        if (request->text_count == TEXT_LIMIT) return 0;
        request->text[request->text_count++] = *from;
    } while (*from++);
    return kept;
}

/// A name that can be a file's: letters, digits, `_`, `-` and `.`, which is not first; 64 bytes at most.
static inline int is_plain_name(const char *name) {
    size_t n = 0;
    for (; name[n]; n++) {
        char c = name[n];
        int is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (n == 64 || !(is_letter || c == '_' || c == '-' || (c == '.' && n))) return 0;
    }
    return n > 0;
}

/// Adds one message to the description of a program. 0, or -errno.
static int agent_configure(struct agent_request *request, uint8_t type, const uint8_t *bytes, uint32_t byte_count) {
    struct agent_payload payload = {bytes, bytes + byte_count, 0};
    const char *strings[4] = {"", "", "", ""};
    unsigned string_count = 0;
    switch (type) {
    case FRAME_HELLO: request->version = (uint32_t)take_number(&payload, 4); break;
    case FRAME_ARGUMENT:
    case FRAME_VARIABLE:
        if (request->string_count == STRING_LIMIT) return -AGENT_E2BIG;
        string_count = 1;
        break;
    case FRAME_USER:
        request->uid = (uint32_t)take_number(&payload, 4);
        request->gid = (uint32_t)take_number(&payload, 4);
        request->umask = (uint32_t)take_number(&payload, 4);
        request->group_count = 0;
        while (payload.at < payload.end && !payload.is_short) {
            if (request->group_count == GROUP_LIMIT) return -AGENT_E2BIG;
            request->groups[request->group_count++] = (uint32_t)take_number(&payload, 4);
        }
        request->has_user = 1;
        break;
    case FRAME_CAPABILITIES:
        for (int i = 0; i < 5; i++) request->capabilities[i] = take_number(&payload, 8);
        request->has_capabilities = 1;
        break;
    case FRAME_LIMIT: {
        if (request->limit_count == LIMIT_LIMIT) return -AGENT_E2BIG;
        struct agent_limit *limit = &request->limits[request->limit_count++];
        limit->resource = (uint32_t)take_number(&payload, 4);
        limit->soft = take_number(&payload, 8);
        limit->hard = take_number(&payload, 8);
        break;
    }
    case FRAME_OPTIONS: request->options = (uint32_t)take_number(&payload, 4); break;
    case FRAME_POD:
        request->is_in_pod = 1;
        request->shared = (uint32_t)take_number(&payload, 4);
        request->group.memory = take_number(&payload, 8);
        request->group.processes = take_number(&payload, 8);
        request->group.quota = take_number(&payload, 8);
        request->group.period = take_number(&payload, 8);
        if (request->shared & ~(uint32_t)(SHARES_PROCESSES | SHARES_IPC)) return -AGENT_EINVAL;
        break;
    case FRAME_CONTAINER:
        request->place = (uint32_t)take_number(&payload, 4);
        string_count = 1;
        break;
    case FRAME_FOLDER: string_count = 1; break;
    case FRAME_ROOT:
    case FRAME_HOST_NAME: string_count = 2; break;
    case FRAME_SETTING:
        if (request->setting_count == SETTING_LIMIT) return -AGENT_E2BIG;
        string_count = 2;
        break;
    case FRAME_MOUNT:
    case FRAME_STAGE:
        if (request->mount_count == MOUNT_LIMIT) return -AGENT_E2BIG;
        request->mounts[request->mount_count].flags = take_number(&payload, type == FRAME_MOUNT ? 8 : 4);
        string_count = type == FRAME_MOUNT ? 4 : 1;
        break;
    case FRAME_PATH:
        if (request->mount_count == MOUNT_LIMIT) return -AGENT_E2BIG;
        request->mounts[request->mount_count].flags = take_number(&payload, 4);
        string_count = 1;
        break;
    case FRAME_FILTER:
        request->filter_flags = (uint32_t)take_number(&payload, 4);
        request->instruction_count = 0;
        while (payload.at < payload.end && !payload.is_short) {
            if (request->instruction_count == INSTRUCTION_LIMIT) return -AGENT_E2BIG;
            struct agent_instruction *instruction = &request->instructions[request->instruction_count++];
            instruction->code = (uint16_t)take_number(&payload, 2);
            instruction->if_true = (uint8_t)take_number(&payload, 1);
            instruction->if_false = (uint8_t)take_number(&payload, 1);
            instruction->operand = (uint32_t)take_number(&payload, 4);
        }
        if (request->filter_flags & ~(uint32_t)FILTER_FLAGS) return -AGENT_EINVAL;
        break;
    case FRAME_SIZE:
        request->rows = (uint16_t)take_number(&payload, 2);
        request->columns = (uint16_t)take_number(&payload, 2);
        break;
    default: return -AGENT_EPROTO;
    }
    for (unsigned i = 0; i < string_count; i++)
        if (!(strings[i] = keep_string(request, &payload))) return -AGENT_E2BIG;
    if (payload.is_short || payload.at != payload.end) return -AGENT_EINVAL;

    struct agent_mount *mount = &request->mounts[request->mount_count];
    switch (type) {
    case FRAME_ARGUMENT: request->arguments[request->argument_count++] = strings[0], request->string_count++; break;
    case FRAME_VARIABLE: request->variables[request->variable_count++] = strings[0], request->string_count++; break;
    case FRAME_FOLDER: request->folder = strings[0]; break;
    case FRAME_CONTAINER:
        if (request->place > PLACE_CONTAINER_IF_THERE || !is_plain_name(strings[0])) return -AGENT_EINVAL;
        request->container = strings[0];
        break;
    case FRAME_ROOT: request->base = strings[0], request->scratch = strings[1]; break;
    case FRAME_HOST_NAME: request->host_name = strings[0], request->domain_name = strings[1]; break;
    case FRAME_SETTING:
        request->settings[request->setting_count][0] = strings[0];
        request->settings[request->setting_count++][1] = strings[1];
        break;
    case FRAME_MOUNT:
        mount->source = strings[0], mount->target = strings[1], mount->type = strings[2], mount->data = strings[3];
        mount->kind = MOUNT_FILE_SYSTEM;
        request->mount_count++;
        break;
    case FRAME_STAGE:
        *mount = (struct agent_mount){.flags = mount->flags, .target = strings[0], .kind = MOUNT_STAGE};
        request->mount_count++, request->stage_count++;
        break;
    case FRAME_PATH:
        if (mount->flags > PATH_MASKED) return -AGENT_EINVAL;
        *mount = (struct agent_mount){.flags = mount->flags, .target = strings[0], .kind = MOUNT_PATH};
        request->mount_count++;
        break;
    default: break;
    }
    return 0;
}
