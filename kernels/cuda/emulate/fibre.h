// Fibres: several stacks on one thread, switched by hand. They stand for the threads of a block.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <sys/mman.h>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulate {

constexpr size_t STACK_BYTES = 256 * 1024;

#if defined(__x86_64__)

// Keeps what a called function must keep, exchanges stacks, and goes on where the other one stopped.
extern "C" void cwm_emulate_switch(void** save, void* resume);
asm(R"(
.text
.local cwm_emulate_switch
.type cwm_emulate_switch, @function
cwm_emulate_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size cwm_emulate_switch, .-cwm_emulate_switch
)");

struct Context {
    void* stack_pointer = nullptr;
};

inline void switch_context(Context& from, Context& to) {
    cwm_emulate_switch(&from.stack_pointer, to.stack_pointer);
}

// Prepares a stack on which `entry` runs when it is switched to for the first time. It must never return.
inline void prepare(Context& context, unsigned char* stack, void (*entry)()) {
    auto** top = reinterpret_cast<void**>(stack + STACK_BYTES);
    // After `ret` has taken the entry, the stack is 8 bytes off a multiple of 16, as after a call.
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(entry);
    for (int saved = 0; saved < 6; saved++) {
        *--top = nullptr;
    }
    context.stack_pointer = top;
}

#else

struct Context {
    ucontext_t context;
};

inline void switch_context(Context& from, Context& to) {
    swapcontext(&from.context, &to.context);
}

inline void prepare(Context& context, unsigned char* stack, void (*entry)()) {
    getcontext(&context.context);
    context.context.uc_stack.ss_sp = stack;
    context.context.uc_stack.ss_size = STACK_BYTES;
    context.context.uc_link = nullptr;
    makecontext(&context.context, entry, 0);
}

#endif

inline unsigned char* new_stack() {
    void* memory = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<unsigned char*>(memory);
}

}  // namespace emulate
