/*
 * libsolv reads rich dependencies by recursion and multiplies them out: a deep one overflows the stack, and (a1 and b1) or
 * (a2 and b2) or ... doubles its memory with each pair. So the guard follows the quotes of the XML and counts, in each value of
 * an attribute, its bytes and the brackets that open a group.
 */
#include "guard.h"

#include <errno.h>
#include <string.h>

/* The longest value in a whole Enterprise Linux has 535 bytes, the most groups in one are 2. */
#define MAX_VALUE_BYTES (16 * 1024)
#define MAX_VALUE_GROUPS 16

enum { IN_TEXT = 0, IN_TAG, IN_VALUE, IN_COMMENT, IN_INSTRUCTION, IN_CDATA, AT_EXCLAMATION };

static void watch_value(Guard *g, char c)
{
  int opens = c == '(' && (g->before == g->quote || g->before == '(' || g->before == ' ' || (g->before >= '\t' && g->before <= '\r'));
  /* A character written as a number may be a bracket or a blank. */
  int hidden = c == '#' && g->before == '&';
  g->value_groups += opens || hidden;
  if (++g->value_bytes > MAX_VALUE_BYTES)
    g->refused = "an attribute is too long";
  else if (g->value_groups > MAX_VALUE_GROUPS)
    g->refused = "a dependency has too many groups";
}

/* After "<!": a comment, a block of plain text, or a declaration, which could define other names for characters. */
static void watch_exclamation(Guard *g, char c)
{
  if (c == '-')
    g->state = IN_COMMENT;
  else if (c == '[')
    g->state = IN_CDATA;
  else
    g->refused = "it has a document type declaration";
  memset(g->tail, 0, sizeof(g->tail));
}

static int ended_by(const Guard *g, char last_but_two, char last_but_one)
{
  return g->tail[2] == '>' && g->tail[1] == last_but_one && (!last_but_two || g->tail[0] == last_but_two);
}

static void watch(Guard *g, char c)
{
  if (c == 0)
    g->refused = "it has a zero byte";
  g->tail[0] = g->tail[1], g->tail[1] = g->tail[2], g->tail[2] = c;
  switch (g->state) {
  case IN_TEXT:
    if (c == '<')
      g->state = IN_TAG;
    break;
  case IN_TAG:
    if (c == '!' && g->before == '<')
      g->state = AT_EXCLAMATION;
    else if (c == '?' && g->before == '<')
      g->state = IN_INSTRUCTION;
    else if (c == '"' || c == '\'')
      g->state = IN_VALUE, g->quote = c, g->value_bytes = g->value_groups = 0;
    else if (c == '>')
      g->state = IN_TEXT;
    break;
  case IN_VALUE:
    if (c == g->quote)
      g->state = IN_TAG;
    else
      watch_value(g, c);
    break;
  case AT_EXCLAMATION:
    watch_exclamation(g, c);
    break;
  case IN_COMMENT:
    if (ended_by(g, '-', '-'))
      g->state = IN_TEXT;
    break;
  case IN_INSTRUCTION:
    if (ended_by(g, 0, '?'))
      g->state = IN_TEXT;
    break;
  case IN_CDATA:
    if (ended_by(g, ']', ']'))
      g->state = IN_TEXT;
    break;
  }
  g->before = c;
}

static ssize_t guard_read(void *cookie, char *buffer, size_t size)
{
  Guard *g = cookie;
  size_t got = fread(buffer, 1, size, g->inner);
  g->left -= (int64_t)got;
  if (ferror(g->inner))
    g->refused = "its compressed data is damaged";
  else if (g->left < 0)
    g->refused = "it is too large";
  for (size_t i = 0; i < got && !g->refused; i++)
    watch(g, buffer[i]);
  if (g->refused) {
    errno = EINVAL;
    return -1;
  }
  if (got && g->head_len < HEAD_BYTES) {
    size_t n = HEAD_BYTES - g->head_len < got ? HEAD_BYTES - g->head_len : got;
    memcpy(g->head + g->head_len, buffer, n);
    g->head_len += n;
  }
  return (ssize_t)got;
}

static int guard_close(void *cookie)
{
  Guard *g = cookie;
  return fclose(g->inner);
}

FILE *guard_open(Guard *guard, FILE *inner, int64_t max_bytes)
{
  cookie_io_functions_t functions = {guard_read, 0, 0, guard_close};
  memset(guard, 0, sizeof(*guard));
  guard->inner = inner;
  guard->left = max_bytes;
  return fopencookie(guard, "r", functions);
}
