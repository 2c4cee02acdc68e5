/*
 * The narrow C side of the solver: libsolv's structs, macros and inline functions stay in this folder; only numbers, strings and
 * one opaque handle cross to Rust (src/ffi.rs declares the same functions). Nothing here keeps a pointer that Rust owns.
 *
 * Strings returned live until the next call with the same handle: the Rust side copies them at once.
 */
#include <solv/pool.h>
#include <solv/queue.h>
#include <solv/repo.h>
#include <solv/solver.h>
#include <solv/transaction.h>

#include "guard.h"

/* Mirrored in ffi.rs. */
enum { DOCUMENT_PRIMARY = 0, DOCUMENT_FILELISTS = 1 };
enum { FLAG_WEAK = 1, FLAG_ALLOW_ERASING = 2, FLAG_BEST = 4, FLAG_UPGRADE_ALL = 8, FLAG_UNORDERED = 16 };
enum { LIST_INSTALL = 0, LIST_REMOVE = 1, LIST_FOUND = 2 };
enum { RULE_OTHER = 0, RULE_MISSING_FOR_PACKAGE = 1, RULE_MISSING_FOR_JOB = 2 };
enum { FIELD_NAME = 0, FIELD_EVR, FIELD_ARCH, FIELD_REPOSITORY, FIELD_LOCATION, FIELD_BASE, FIELD_CHECKSUM_TYPE, FIELD_CHECKSUM, FIELD_NEVRA };

typedef struct Handle {
  Pool *pool;
  Solver *solver;
  Transaction *transaction; /* the outcome, when there is one */
  Map excluded; /* what a request may use; given to the pool for the time of one solve */
  Queue open_repos; /* that nothing is hidden of */
  Queue jobs;
  Queue lists[3];
  Queue rules; /* that explain the problems, the most telling of each first */
  Queue paths_wanted;
  int paths_indexed; /* how many of them */
  Id *lacks; /* for each package, the requirement that nothing which can be installed provides; 0 where there is none */
  int is_narrowed; /* whether the index of providers leaves out what is hidden */
  int prepared_solvables, prepared_strings;
  Guard guard; /* of the last document */
  char *paths; /* the last answer to a search for files */
} Handle;

void anima_solv_ask_again(Handle *h);
