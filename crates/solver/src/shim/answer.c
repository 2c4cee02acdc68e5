/* Solving, and all questions about the outcome. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <solv/chksum.h>
#include <solv/dataiterator.h>
#include <solv/evr.h>
#include <solv/transaction.h>

#include "shim.h"

#define STEP_MODE \
  (SOLVER_TRANSACTION_SHOW_ACTIVE | SOLVER_TRANSACTION_SHOW_ALL | SOLVER_TRANSACTION_SHOW_OBSOLETES | SOLVER_TRANSACTION_SHOW_MULTIINSTALL)

static void keep_transaction(Handle *h, int is_ordered)
{
  Transaction *transaction = h->transaction = solver_create_transaction(h->solver);
  if (is_ordered)
    transaction_order(transaction, 0);
  for (int i = 0; i < transaction->steps.count; i++) {
    Id p = transaction->steps.elements[i];
    /* What something takes the place of has no active step of its own. */
    if (pool_id2solvable(h->pool, p)->repo == h->pool->installed)
      queue_push(&h->lists[LIST_REMOVE], p);
    else if (transaction_type(transaction, p, STEP_MODE) != SOLVER_TRANSACTION_IGNORE)
      queue_push(&h->lists[LIST_INSTALL], p);
  }
}

/* Fills the found list with the packages that the step's package takes the place of, or, of an installed package, that take
   its place. */
void anima_solv_counterparts(Handle *h, int package)
{
  queue_empty(&h->lists[LIST_FOUND]);
  transaction_all_obs_pkgs(h->transaction, package, &h->lists[LIST_FOUND]);
}

/* Says in one sentence why the solver decided about a package as it did; 0 where it has no rule for it. */
const char *anima_solv_decision_text(Handle *h, int package)
{
  Id info, source, target, dep;
  int reason = solver_describe_decision(h->solver, package, &info);
  SolverRuleinfo type;
  (void)reason;
  if (!info)
    return 0;
  type = solver_ruleinfo(h->solver, info, &source, &target, &dep);
  return solver_ruleinfo2str(h->solver, type, source, target, dep);
}

static void keep_problems(Handle *h, int max_rules)
{
  Queue found;
  int problems = (int)solver_problem_count(h->solver);
  queue_init(&found);
  for (int problem = 1; problem <= problems; problem++) {
    Id main_rule = solver_findproblemrule(h->solver, problem);
    queue_push(&h->rules, main_rule);
    queue_empty(&found);
    solver_findallproblemrules(h->solver, problem, &found);
    for (int i = 0; i < found.count && i < max_rules; i++)
      if (found.elements[i] != main_rule)
        queue_push(&h->rules, found.elements[i]);
  }
  queue_free(&found);
}

/* Returns the number of problems: 0 means solved. Prepare comes before the first wanted line, not here: a new index would move
   the lists that the lines point to. */
int anima_solv_solve(Handle *h, int flags, int max_rules)
{
  Solver *solver;
  int problems;
  if (h->excluded.size)
    h->pool->considered = &h->excluded;
  if (flags & FLAG_UPGRADE_ALL)
    queue_push2(&h->jobs, SOLVER_DISTUPGRADE | SOLVER_SOLVABLE_ALL, 0);
  if (flags & FLAG_BEST)
    for (int i = 0; i < h->jobs.count; i += 2)
      h->jobs.elements[i] |= SOLVER_FORCEBEST;
  solver = h->solver = solver_create(h->pool);
  /* The same policy as dnf's, so that a build and a user's machine choose alike. */
  solver_set_flag(solver, SOLVER_FLAG_YUM_OBSOLETES, 1);
  solver_set_flag(solver, SOLVER_FLAG_KEEP_EXPLICIT_OBSOLETES, 1);
  solver_set_flag(solver, SOLVER_FLAG_KEEP_ORPHANS, 1);
  solver_set_flag(solver, SOLVER_FLAG_URPM_REORDER, 1);
  solver_set_flag(solver, SOLVER_FLAG_BEST_OBEY_POLICY, 1);
  solver_set_flag(solver, SOLVER_FLAG_ALLOW_VENDORCHANGE, 1);
  solver_set_flag(solver, SOLVER_FLAG_FOCUS_BEST, (flags & FLAG_BEST) != 0);
  solver_set_flag(solver, SOLVER_FLAG_IGNORE_RECOMMENDED, (flags & FLAG_WEAK) == 0);
  solver_set_flag(solver, SOLVER_FLAG_ALLOW_UNINSTALL, (flags & FLAG_ALLOW_ERASING) != 0);
  problems = solver_solve(solver, &h->jobs);
  if (problems)
    keep_problems(h, max_rules);
  else
    keep_transaction(h, (flags & FLAG_UNORDERED) == 0);
  h->pool->considered = 0;
  return problems;
}

int anima_solv_rule_count(Handle *h) { return h->rules.count; }

int anima_solv_rule_kind(Handle *h, int index, int *package, int *dependency)
{
  Id source, target, dep;
  SolverRuleinfo type = solver_ruleinfo(h->solver, h->rules.elements[index], &source, &target, &dep);
  *package = source;
  *dependency = dep;
  switch (type) {
  case SOLVER_RULE_PKG_NOTHING_PROVIDES_DEP:
    return RULE_MISSING_FOR_PACKAGE;
  case SOLVER_RULE_JOB_NOTHING_PROVIDES_DEP:
    return RULE_MISSING_FOR_JOB;
  default:
    return RULE_OTHER;
  }
}

const char *anima_solv_rule_text(Handle *h, int index)
{
  Id source, target, dep;
  SolverRuleinfo type;
  /* The pool must know what was excluded, or the sentence would blame something else. */
  if (h->excluded.size)
    h->pool->considered = &h->excluded;
  type = solver_ruleinfo(h->solver, h->rules.elements[index], &source, &target, &dep);
  const char *text = solver_problemruleinfo2str(h->solver, type, source, target, dep);
  h->pool->considered = 0;
  return text;
}

int anima_solv_list_count(Handle *h, int list) { return h->lists[list].count; }

int anima_solv_list_at(Handle *h, int list, int index) { return h->lists[list].elements[index]; }

/* Fills the found list with the packages that provide the dependency. */
void anima_solv_what_provides(Handle *h, int dependency)
{
  Pool *pool = h->pool;
  Id p, pp;
  queue_empty(&h->lists[LIST_FOUND]);
  FOR_PROVIDES(p, pp, dependency)
    if (p != SYSTEMSOLVABLE)
      queue_push(&h->lists[LIST_FOUND], p);
}

/* Returns up to so many different paths that end so, one a line. */
const char *anima_solv_find_files(Handle *h, const char *slash_and_basename, int max_found)
{
  Dataiterator di;
  int found = 0;
  size_t used = 0;
  free(h->paths);
  h->paths = calloc(1, 1);
  dataiterator_init(&di, h->pool, 0, 0, SOLVABLE_FILELIST, slash_and_basename, SEARCH_STRINGEND | SEARCH_FILES);
  while (h->paths && found < max_found && dataiterator_step(&di)) {
    size_t length = strlen(di.kv.str);
    char *longer;
    if (strstr(h->paths, di.kv.str))
      continue;
    longer = realloc(h->paths, used + length + 2);
    if (!longer)
      break;
    h->paths = longer;
    memcpy(longer + used, di.kv.str, length);
    memcpy(longer + used + length, "\n", 2);
    used += length + 1;
    found++;
  }
  dataiterator_free(&di);
  return h->paths;
}

/* Lines of "path<TAB>package": who has files that end so. */
const char *anima_solv_find_owners(Handle *h, const char *path_end, int max_found)
{
  Dataiterator di;
  int found = 0;
  size_t used = 0;
  free(h->paths);
  h->paths = calloc(1, 1);
  dataiterator_init(&di, h->pool, 0, 0, SOLVABLE_FILELIST, path_end, SEARCH_STRINGEND | SEARCH_FILES);
  while (h->paths && found < max_found && dataiterator_step(&di)) {
    const char *name = pool_id2str(h->pool, pool_id2solvable(h->pool, di.solvid)->name);
    size_t length = strlen(di.kv.str) + strlen(name) + 2;
    char *longer = realloc(h->paths, used + length + 1);
    if (!longer)
      break;
    h->paths = longer;
    snprintf(longer + used, length + 1, "%s\t%s\n", di.kv.str, name);
    used += length;
    found++;
  }
  dataiterator_free(&di);
  return h->paths;
}

/* The provided names are the strings of the pool that have providers. */
int anima_solv_string_count(Handle *h) { return h->prepared_strings; }

const char *anima_solv_provided_name(Handle *h, int id)
{
  Pool *pool = h->pool;
  if (id < 2 || id >= h->prepared_strings || !pool->whatprovides[id])
    return 0;
  /* The first slots of the data are the empty list and the system's own capabilities. */
  return pool->whatprovidesdata[pool->whatprovides[id]] > SYSTEMSOLVABLE ? pool_id2str(pool, id) : 0;
}

const char *anima_solv_field(Handle *h, int package, int field)
{
  Pool *pool = h->pool;
  Solvable *s = pool_id2solvable(pool, package);
  Id type = 0;
  const char *checksum;
  switch (field) {
  case FIELD_NAME:
    return pool_id2str(pool, s->name);
  case FIELD_EVR:
    return pool_id2str(pool, s->evr);
  case FIELD_ARCH:
    return pool_id2str(pool, s->arch);
  case FIELD_REPOSITORY:
    return s->repo ? s->repo->name : 0;
  case FIELD_LOCATION:
    return solvable_lookup_location(s, 0);
  case FIELD_BASE:
    return solvable_lookup_str(s, SOLVABLE_MEDIABASE);
  case FIELD_CHECKSUM_TYPE:
    solvable_lookup_bin_checksum(s, SOLVABLE_CHECKSUM, &type);
    return type ? solv_chksum_type2str(type) : 0;
  case FIELD_CHECKSUM:
    checksum = solvable_lookup_checksum(s, SOLVABLE_CHECKSUM, &type);
    return type ? checksum : 0;
  case FIELD_NEVRA:
    return pool_solvable2str(pool, s);
  }
  return 0;
}

uint64_t anima_solv_size(Handle *h, int package)
{
  return solvable_lookup_num(pool_id2solvable(h->pool, package), SOLVABLE_DOWNLOADSIZE, 0);
}

/* Bytes of its files once it is installed. */
uint64_t anima_solv_installed_size(Handle *h, int package)
{
  return solvable_lookup_num(pool_id2solvable(h->pool, package), SOLVABLE_INSTALLSIZE, 0);
}

int anima_solv_compare_evr(Handle *h, int left, int right)
{
  return pool_evrcmp(h->pool, pool_id2solvable(h->pool, left)->evr, pool_id2solvable(h->pool, right)->evr, EVRCMP_COMPARE);
}
