/* Which packages of the pool can be installed at all. */
#include <stdint.h>
#include <stdlib.h>

#include <solv/util.h>

#include "shim.h"

/* Fills the found list with the packages of a repository that a machine of the pool's architecture may have. */
void anima_solv_packages(Handle *h, int repoid)
{
  Pool *pool = h->pool;
  Repo *repo = pool_id2repo(pool, repoid);
  Solvable *s;
  Id p;
  queue_empty(&h->lists[LIST_FOUND]);
  if (!repo)
    return;
  FOR_REPO_SOLVABLES(repo, p, s)
    if (s->arch != ARCH_SRC && s->arch != ARCH_NOSRC && !pool_badarch_solvable(pool, s))
      queue_push(&h->lists[LIST_FOUND], p);
}

/* Takes a package away from all that is asked until the next reset. Prepare comes first. */
void anima_solv_hide(Handle *h, int package)
{
  if (!h->excluded.size) {
    map_init(&h->excluded, h->pool->nsolvables);
    map_setall(&h->excluded);
  }
  MAPCLR(&h->excluded, package);
}

/* Makes the index of providers anew without what is hidden, so that the explanations do not speak of it. */
void anima_solv_narrow(Handle *h)
{
  Pool *pool = h->pool;
  if (!h->excluded.size)
    return;
  pool_set_flag(pool, POOL_FLAG_WHATPROVIDESWITHDISABLED, 0);
  pool->considered = &h->excluded;
  pool_createwhatprovides(pool);
  pool->considered = 0;
  h->is_narrowed = 1;
}

static int is_rich(Pool *pool, Id dependency)
{
  if (!ISRELDEP(dependency))
    return 0;
  switch (GETRELDEP(pool, dependency)->flags) {
  case REL_AND:
  case REL_OR:
  case REL_WITH:
  case REL_WITHOUT:
  case REL_COND:
  case REL_UNLESS:
  case REL_NAMESPACE:
    return 1;
  }
  return 0;
}

static Id first_lacking(Handle *h, Solvable *s, Queue *requires)
{
  Pool *pool = h->pool;
  queue_empty(requires);
  solvable_lookup_deparray(s, SOLVABLE_REQUIRES, requires, 0);
  for (int i = 0; i < requires->count; i++) {
    Id dependency = requires->elements[i], p, pp;
    int is_met = dependency == SOLVABLE_PREREQMARKER || is_rich(pool, dependency);
    if (!is_met)
      FOR_PROVIDES(p, pp, dependency)
        if (p == SYSTEMSOLVABLE || !h->lacks[p]) {
          is_met = 1;
          break;
        }
    if (!is_met)
      return dependency;
  }
  return 0;
}

/*
 * Finds the packages that surely cannot be installed: those that require what nothing provides, and those that require only them,
 * until there are no more. Rich dependencies and conflicts are left to the solver. That takes milliseconds where a question to the
 * solver for each would take minutes. Narrow comes first.
 */
void anima_solv_find_lacking(Handle *h)
{
  Pool *pool = h->pool;
  Queue requires;
  Id p;
  int changed = 1;
  free(h->lacks);
  h->lacks = solv_calloc(pool->nsolvables, sizeof(Id));
  queue_init(&requires);
  while (changed) {
    changed = 0;
    FOR_POOL_SOLVABLES(p) {
      Solvable *s = pool_id2solvable(pool, p);
      if (h->lacks[p] || s->arch == ARCH_SRC || s->arch == ARCH_NOSRC || pool_badarch_solvable(pool, s))
        continue;
      if (h->excluded.size && !MAPTST(&h->excluded, p))
        continue;
      h->lacks[p] = first_lacking(h, s, &requires);
      changed |= h->lacks[p] != 0;
    }
  }
  queue_free(&requires);
}

/* Returns the requirement that a package lacks, or 0. */
int anima_solv_lacks(Handle *h, int package) { return h->lacks ? h->lacks[package] : 0; }

/* Forgets the last question, but not what is hidden. */
void anima_solv_ask_again(Handle *h)
{
  if (h->transaction)
    transaction_free(h->transaction);
  h->transaction = 0;
  if (h->solver)
    solver_free(h->solver);
  h->solver = 0;
  queue_empty(&h->jobs);
  for (int i = 0; i < 3; i++)
    queue_empty(&h->lists[i]);
  queue_empty(&h->rules);
}

void anima_solv_want_package(Handle *h, int package)
{
  queue_push2(&h->jobs, SOLVER_INSTALL | SOLVER_SOLVABLE, package);
}

/* Asks for all at once, weakly: whatever the solver takes can be installed, with what it took. What it left out is asked for again,
   until a round takes nothing more. Returns what is left, at the front of the queue. */
static void sieve_batch(Handle *h, Queue *left)
{
  while (left->count) {
    Solver *solver;
    int kept = 0;
    anima_solv_ask_again(h);
    for (int i = 0; i < left->count; i++)
      queue_push2(&h->jobs, SOLVER_INSTALL | SOLVER_SOLVABLE | SOLVER_WEAK, left->elements[i]);
    if (h->excluded.size)
      h->pool->considered = &h->excluded;
    solver = h->solver = solver_create(h->pool);
    solver_set_flag(solver, SOLVER_FLAG_YUM_OBSOLETES, 1);
    solver_set_flag(solver, SOLVER_FLAG_IGNORE_RECOMMENDED, 1);
    solver_solve(solver, &h->jobs);
    h->pool->considered = 0;
    for (int i = 0; i < left->count; i++)
      if (solver_get_decisionlevel(solver, left->elements[i]) <= 0)
        left->elements[kept++] = left->elements[i];
    if (kept == left->count)
      break;
    queue_truncate(left, kept);
  }
}

/*
 * Leaves in the found list the candidates that were not seen to be installable. Versions of one name never stand together, so each
 * batch has one version of each name. Thousands of packages need some rounds instead of a question each, as in libsolv's own
 * installcheck.
 */
void anima_solv_sieve(Handle *h, const int *candidates, int count)
{
  int *seen = solv_calloc(h->pool->ss.nstrings, sizeof(int)), *batch_of = solv_calloc(count ? count : 1, sizeof(int));
  int batches = 0;
  Queue left, batch;
  queue_init(&left);
  queue_init(&batch);
  for (int i = 0; i < count; i++) {
    batch_of[i] = seen[pool_id2solvable(h->pool, candidates[i])->name]++;
    if (batch_of[i] >= batches)
      batches = batch_of[i] + 1;
  }
  for (int number = 0; number < batches; number++) {
    queue_empty(&batch);
    for (int i = 0; i < count; i++)
      if (batch_of[i] == number)
        queue_push(&batch, candidates[i]);
    sieve_batch(h, &batch);
    for (int i = 0; i < batch.count; i++)
      queue_push(&left, batch.elements[i]);
  }
  anima_solv_ask_again(h);
  for (int i = 0; i < left.count; i++)
    queue_push(&h->lists[LIST_FOUND], left.elements[i]);
  queue_free(&batch);
  queue_free(&left);
  free(batch_of);
  free(seen);
}

static int rests_on(Pool *pool, const Map *touched, Id dependency)
{
  Id p, pp;
  if (is_rich(pool, dependency)) {
    Reldep *rd = GETRELDEP(pool, dependency);
    return rests_on(pool, touched, rd->name) || rests_on(pool, touched, rd->evr);
  }
  FOR_PROVIDES(p, pp, dependency)
    if (MAPTST(touched, p))
      return 1;
  return 0;
}

/*
 * Fills the found list with the packages that need one of those given, or need what needs one, and those given. For others
 * nothing changes when these come or go. Prepare comes first, and nothing is hidden yet.
 */
void anima_solv_find_touched(Handle *h, const int *changed, int count)
{
  Pool *pool = h->pool;
  Queue requires;
  Map touched;
  Id p;
  int more = 1;
  map_init(&touched, pool->nsolvables);
  queue_init(&requires);
  for (int i = 0; i < count; i++)
    MAPSET(&touched, changed[i]);
  while (more) {
    more = 0;
    FOR_POOL_SOLVABLES(p) {
      Solvable *s = pool_id2solvable(pool, p);
      if (MAPTST(&touched, p) || s->arch == ARCH_SRC || s->arch == ARCH_NOSRC)
        continue;
      queue_empty(&requires);
      solvable_lookup_deparray(s, SOLVABLE_REQUIRES, &requires, 0);
      for (int i = 0; i < requires.count; i++)
        if (requires.elements[i] != SOLVABLE_PREREQMARKER && rests_on(pool, &touched, requires.elements[i])) {
          MAPSET(&touched, p);
          more = 1;
          break;
        }
    }
  }
  queue_empty(&h->lists[LIST_FOUND]);
  FOR_POOL_SOLVABLES(p)
    if (MAPTST(&touched, p))
      queue_push(&h->lists[LIST_FOUND], p);
  queue_free(&requires);
  map_free(&touched);
}
