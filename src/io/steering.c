#include "io/steering.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OPCODE_DATA_V2 = 9 };

bool amm_steer_udp(int fd, unsigned handshakes, unsigned workers, char *error, size_t room)
{
    /* Offsets are those of the UDP payload. A load beyond its end ends the program with 0: index 0.
     */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 3),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OPCODE_DATA_V2, 3, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 1),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, handshakes),
        BPF_STMT(BPF_RET | BPF_A, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, AMM_SLOT_MAX),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, workers),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, handshakes),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) != 0) {
        snprintf(error, room, "steering of UDP sockets: %s", strerror(errno));
        return false;
    }
    return true;
}

/* One eBPF instruction; registers are constants. */
#define INSN(op, dst, src, jump, value)                                                            \
    {                                                                                              \
        .code = (op), .dst_reg = (dst), .src_reg = (src), .off = (jump), .imm = (value)            \
    }

static int load_program(const struct bpf_insn *code, size_t n)
{
    union bpf_attr attr = {0};
    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attr.insns = (uint64_t)(uintptr_t)code;
    attr.insn_cnt = (uint32_t)n;
    attr.license = (uint64_t)(uintptr_t) "Apache-2.0";
    return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
}

bool amm_steer_tun(int fd, const struct amm_pool *pool, unsigned queues, char *error, size_t room)
{
    bool is_net30 = pool->topology == AMM_NET30;
    int32_t host_bits = (int32_t)~amm_pool_mask(pool);
    /* Packets start with the IP header. Loads of packet bytes want the context in r6, give host
     * order, and end the program with 0 beyond the end. */
    const struct bpf_insn code[] = {
        INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
        INSN(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, 0),
        INSN(BPF_ALU | BPF_RSH | BPF_K, 0, 0, 0, 4),
        INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 5, 4),
        INSN(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 16),
        INSN(BPF_ALU | BPF_AND | BPF_K, 0, 0, 0, host_bits),
        /* net30: slot = host >> 2; subnet: slot = host - 1 */
        INSN(BPF_ALU | BPF_K | (is_net30 ? BPF_RSH : BPF_SUB), 0, 0, 0, is_net30 ? 2 : 1),
        INSN(BPF_ALU | BPF_MOD | BPF_K, 0, 0, 0, (int32_t)queues),
        INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
        INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
        INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    };
    int program = load_program(code, sizeof code / sizeof code[0]);
    if (program < 0) {
        snprintf(error, room, "steering of tun queues: bpf: %s", strerror(errno));
        return false;
    }
    bool ok = ioctl(fd, TUNSETSTEERINGEBPF, &program) == 0;
    if (!ok) {
        snprintf(error, room, "steering of tun queues: %s", strerror(errno));
    }
    close(program); /* the device holds its own reference */
    return ok;
}
