// What ThreadSanitizer has to be told about memory that goes from thread to thread through code it does not see: the
// libraries of DPDK are not built for it. A frame is given away at tsan_release() and taken over at tsan_acquire() of
// the same address. Nothing in other builds.
#pragma once

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BUILT_FOR_TSAN
#endif
#endif

#ifdef BUILT_FOR_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#endif

static inline void tsan_release(void *address)
{
#ifdef BUILT_FOR_TSAN
	__tsan_release(address);
#else
	(void)address;
#endif
}

static inline void tsan_acquire(void *address)
{
#ifdef BUILT_FOR_TSAN
	__tsan_acquire(address);
#else
	(void)address;
#endif
}
