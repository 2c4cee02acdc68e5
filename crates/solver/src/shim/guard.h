/* A stream into libsolv that stops at what libsolv would not survive. */
#include <stdint.h>
#include <stdio.h>

#define HEAD_BYTES 1024

typedef struct Guard {
  FILE *inner;
  int64_t left;
  const char *refused; /* why the stream was stopped, when it was */
  char head[HEAD_BYTES + 1]; /* the beginning of the document, for the check of its root element */
  size_t head_len;
  /* where in the document the last byte was */
  int state, before, quote;
  size_t value_bytes, value_groups;
  char tail[3];
} Guard;

/* Returns a stream that reads the inner one, or nothing when there is no memory. Closing it closes the inner one. */
FILE *guard_open(Guard *guard, FILE *inner, int64_t max_bytes);
