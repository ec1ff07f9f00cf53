// The event loop of the mgmt thread: file descriptors by epoll, and a time to wake at. Nothing a source does may block; what
// takes long (writing the access log) has its own thread.
//
// A source is embedded in its owner. It may be removed from within any callback, its own included: events that were
// already fetched for it are then not delivered.
#pragma once

#include <stdint.h>

struct loop;
struct loop_source;

typedef void loop_fn(struct loop_source *source, uint32_t events, uint64_t now_us);

struct loop_source {
	int fd;
	loop_fn *fn;
	void *arg;
};

struct loop *loop_new(void); // NULL and errno
void loop_free(struct loop **lp);

// Watches source->fd for 'events' (EPOLLIN...), level-triggered. 'source' is borrowed until loop_remove(). Returns 0 or a negative
// errno.
int loop_add(struct loop *l, struct loop_source *source, uint32_t events);
int loop_modify(struct loop *l, struct loop_source *source, uint32_t events);

// Stops watching; does not close the descriptor, and has to be called before that is closed.
void loop_remove(struct loop *l, struct loop_source *source);

// Waits until a source is ready or 'until_us' has come, and delivers what there is.
void loop_run_once(struct loop *l, uint64_t until_us);

// The clock of the mgmt thread: microseconds, monotonic.
uint64_t loop_now_us(void);
