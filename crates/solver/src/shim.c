/*
 * The narrow C side of the solver: libsolv's structs, macros and inline functions stay here; only numbers, strings and one
 * opaque handle cross to Rust (src/ffi.rs declares the same functions). Nothing here keeps a pointer that Rust owns.
 *
 * Strings returned live until the next call with the same handle: the Rust side copies them at once.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <solv/chksum.h>
#include <solv/dataiterator.h>
#include <solv/evr.h>
#include <solv/pool.h>
#include <solv/pool_parserpmrichdep.h>
#include <solv/poolarch.h>
#include <solv/repo.h>
#include <solv/repo_rpmdb.h>
#include <solv/repo_rpmmd.h>
#include <solv/repo_solv.h>
#include <solv/repo_write.h>
#include <solv/selection.h>
#include <solv/solv_xfopen.h>
#include <solv/solver.h>
#include <solv/transaction.h>

#define HEAD_BYTES 1024

/* Mirrored in ffi.rs. */
enum { DOCUMENT_PRIMARY = 0, DOCUMENT_FILELISTS = 1 };
enum { FLAG_WEAK = 1, FLAG_ALLOW_ERASING = 2, FLAG_BEST = 4 };
enum { LIST_INSTALL = 0, LIST_REMOVE = 1, LIST_FOUND = 2 };
enum { RULE_OTHER = 0, RULE_MISSING_FOR_PACKAGE = 1, RULE_MISSING_FOR_JOB = 2 };
enum { FIELD_NAME = 0, FIELD_EVR, FIELD_ARCH, FIELD_REPOSITORY, FIELD_LOCATION, FIELD_BASE, FIELD_CHECKSUM_TYPE, FIELD_CHECKSUM, FIELD_NEVRA };

typedef struct Handle {
  Pool *pool;
  Solver *solver;
  Map excluded; /* what a request may use; given to the pool for the time of one solve */
  Queue jobs;
  Queue lists[3];
  Queue rules; /* that explain the problems, the most telling of each first */
  Queue paths_wanted;
  int paths_indexed; /* how many of them */
  int prepared_solvables, prepared_strings;
  char head[HEAD_BYTES + 1]; /* the beginning of the last document, for the check of its root element */
  size_t head_len;
  int over_limit, damaged;
  char *paths; /* the last answer to a search for files */
} Handle;

static void swallow_debug(Pool *pool, void *data, int type, const char *text)
{
  (void)pool, (void)data, (void)type, (void)text;
}

Handle *anima_solv_new(const char *arch)
{
  Handle *h = calloc(1, sizeof(*h));
  if (!h)
    return 0;
  h->pool = pool_create();
  pool_setdebugcallback(h->pool, swallow_debug, 0);
  pool_setdisttype(h->pool, DISTTYPE_RPM);
  pool_setarch(h->pool, arch);
  /* Keeps excluded packages visible to the explanation: "is filtered out by exclude filtering". */
  pool_set_flag(h->pool, POOL_FLAG_WHATPROVIDESWITHDISABLED, 1);
  queue_init(&h->jobs);
  for (int i = 0; i < 3; i++)
    queue_init(&h->lists[i]);
  queue_init(&h->rules);
  queue_init(&h->paths_wanted);
  return h;
}

/* Forgets the last request and its outcome; the repositories stay. */
void anima_solv_reset(Handle *h)
{
  if (h->solver)
    solver_free(h->solver);
  h->solver = 0;
  h->pool->considered = 0;
  map_free(&h->excluded);
  memset(&h->excluded, 0, sizeof(h->excluded));
  queue_empty(&h->jobs);
  for (int i = 0; i < 3; i++)
    queue_empty(&h->lists[i]);
  queue_empty(&h->rules);
}

void anima_solv_free(Handle *h)
{
  anima_solv_reset(h);
  queue_free(&h->jobs);
  for (int i = 0; i < 3; i++)
    queue_free(&h->lists[i]);
  queue_free(&h->rules);
  queue_free(&h->paths_wanted);
  free(h->paths);
  pool_free(h->pool);
  free(h);
}

const char *anima_solv_error(Handle *h) { return pool_errstr(h->pool); }

/* ---- reading ---- */

typedef struct Bounded {
  FILE *inner;
  Handle *handle;
  int64_t left;
} Bounded;

static ssize_t bounded_read(void *cookie, char *buffer, size_t size)
{
  Bounded *b = cookie;
  Handle *h = b->handle;
  size_t got = fread(buffer, 1, size, b->inner);
  if (ferror(b->inner))
    h->damaged = 1;
  b->left -= (int64_t)got;
  if (b->left < 0) {
    h->over_limit = 1;
    errno = EFBIG;
    return -1;
  }
  if (got && h->head_len < HEAD_BYTES) {
    size_t n = HEAD_BYTES - h->head_len < got ? HEAD_BYTES - h->head_len : got;
    memcpy(h->head + h->head_len, buffer, n);
    h->head_len += n;
  }
  return (ssize_t)got;
}

static int bounded_close(void *cookie)
{
  Bounded *b = cookie;
  return fclose(b->inner);
}

int anima_solv_repo_begin(Handle *h, const char *name, int priority)
{
  Repo *repo = repo_create(h->pool, name);
  repo->priority = priority;
  return repo->repoid;
}

void anima_solv_repo_drop(Handle *h, int repoid)
{
  Repo *repo = pool_id2repo(h->pool, repoid);
  if (repo)
    repo_free(repo, 1);
  h->prepared_solvables = 0;
}

void anima_solv_repo_empty(Handle *h, int repoid) { repo_empty(pool_id2repo(h->pool, repoid), 1); }

int anima_solv_repo_count(Handle *h, int repoid)
{
  Repo *repo = pool_id2repo(h->pool, repoid);
  return repo ? repo->nsolvables : 0;
}

/* Takes the descriptor over, whatever happens. The suffix names the compression (".gz", ".zst", ".xz", ".bz2", ""). */
int anima_solv_repo_add_xml(Handle *h, int repoid, int fd, const char *suffix, int document, int64_t max_bytes)
{
  Repo *repo = pool_id2repo(h->pool, repoid);
  Bounded bounded = {0, h, max_bytes};
  cookie_io_functions_t functions = {bounded_read, 0, 0, bounded_close};
  FILE *fp;
  int result;

  h->prepared_solvables = 0;
  h->head_len = 0;
  h->over_limit = h->damaged = 0;
  memset(h->head, 0, sizeof(h->head));
  bounded.inner = solv_xfopen_fd(suffix, fd, "r");
  if (!bounded.inner) {
    close(fd);
    return pool_error(h->pool, -1, "this compression (%s) is not supported by libsolv", suffix);
  }
  fp = fopencookie(&bounded, "r", functions);
  if (!fp) {
    fclose(bounded.inner);
    return pool_error(h->pool, -1, "no memory");
  }
  if (document == DOCUMENT_FILELISTS)
    result = repo_add_rpmmd(repo, fp, "FL", REPO_EXTEND_SOLVABLES);
  else
    result = repo_add_rpmmd(repo, fp, 0, 0);
  if (ferror(fp) || h->damaged)
    h->damaged = 1;
  fclose(fp);
  if (h->over_limit)
    return pool_error(h->pool, -1, "the document is larger than %lld bytes", (long long)max_bytes);
  if (h->damaged)
    return pool_error(h->pool, -1, "its compressed data is damaged");
  return result;
}

const char *anima_solv_head(Handle *h) { return h->head; }

int anima_solv_repo_add_cache(Handle *h, int repoid, const char *data, size_t len)
{
  FILE *fp = solv_fmemopen(data, len, "r");
  int result;
  h->prepared_solvables = 0;
  if (!fp)
    return pool_error(h->pool, -1, "no memory");
  result = repo_add_solv(pool_id2repo(h->pool, repoid), fp, 0);
  fclose(fp);
  return result;
}

/* Takes the descriptor over, whatever happens. */
int anima_solv_repo_write_cache(Handle *h, int repoid, int fd)
{
  FILE *fp = fdopen(fd, "w");
  int result;
  if (!fp) {
    close(fd);
    return pool_error(h->pool, -1, "no memory");
  }
  result = repo_write(pool_id2repo(h->pool, repoid), fp);
  if (fclose(fp) != 0)
    result = -1;
  return result;
}

/* Not safe to run in two threads at once: librpm's configuration is global. The Rust side holds a lock. */
int anima_solv_repo_add_installed(Handle *h, int repoid, const char *root)
{
  Repo *repo = pool_id2repo(h->pool, repoid);
  int result;
  h->prepared_solvables = 0;
  pool_set_rootdir(h->pool, root);
  result = repo_add_rpmdb(repo, 0, REPO_USE_ROOTDIR | RPM_ADD_NO_RPMLIBREQS);
  pool_set_rootdir(h->pool, 0);
  if (result == 0)
    pool_set_installed(h->pool, repo);
  return result;
}

/* ---- asking ---- */

/* Remembers the paths of a wish: libsolv indexes only those that some package requires. */
static void note_paths(Handle *h, Id id)
{
  Pool *pool = h->pool;
  while (ISRELDEP(id)) {
    Reldep *rd = GETRELDEP(pool, id);
    if (rd->flags > 7)
      note_paths(h, rd->evr);
    id = rd->name;
  }
  if (pool_id2str(pool, id)[0] == '/')
    queue_pushunique(&h->paths_wanted, id);
}

static void index_path(Handle *h, Id id)
{
  Pool *pool = h->pool;
  Queue providers;
  Dataiterator di;
  Id p, pp;
  queue_init(&providers);
  FOR_PROVIDES(p, pp, id)
    queue_push(&providers, p);
  dataiterator_init(&di, pool, 0, 0, SOLVABLE_FILELIST, pool_id2str(pool, id), SEARCH_STRING | SEARCH_FILES);
  while (dataiterator_step(&di)) {
    Solvable *s = pool_id2solvable(pool, di.solvid);
    if (s->repo == pool->installed || (s->arch != ARCH_SRC && s->arch != ARCH_NOSRC && !pool_badarch_solvable(pool, s)))
      queue_pushunique(&providers, di.solvid);
  }
  dataiterator_free(&di);
  pool_set_whatprovides(pool, id, pool_queuetowhatprovides(pool, &providers));
  queue_free(&providers);
}

/* Brings the index of providers up to date with the packages and the paths of the request. */
void anima_solv_prepare(Handle *h)
{
  Pool *pool = h->pool;
  if (pool->nsolvables != h->prepared_solvables || !pool->whatprovides) {
    pool_addfileprovides(pool);
    pool_createwhatprovides(pool);
    h->paths_indexed = 0;
  }
  for (; h->paths_indexed < h->paths_wanted.count; h->paths_indexed++)
    index_path(h, h->paths_wanted.elements[h->paths_indexed]);
  h->prepared_solvables = pool->nsolvables;
  h->prepared_strings = pool->ss.nstrings;
}

/* flags: 1 greater, 2 equal, 4 less, 0 none. */
int anima_solv_dependency(Handle *h, const char *name, int flags, const char *evr)
{
  Id id = pool_str2id(h->pool, name, 1);
  note_paths(h, id);
  return flags ? pool_rel2id(h->pool, id, pool_str2id(h->pool, evr, 1), flags, 1) : id;
}

/* Returns 0 when the text is no rich dependency. */
int anima_solv_rich_dependency(Handle *h, const char *text)
{
  Id id = pool_parserpmrichdep(h->pool, text);
  if (id)
    note_paths(h, id);
  return id;
}

const char *anima_solv_dependency_text(Handle *h, int dependency) { return pool_dep2str(h->pool, dependency); }

static void collect_exact(Handle *h, const char *name, const char *evr, const char *arch, Queue *found)
{
  Pool *pool = h->pool;
  Id n = pool_str2id(pool, name, 0), e = pool_str2id(pool, evr, 0), a = pool_str2id(pool, arch, 0), p;
  if (!n || !e || !a)
    return;
  FOR_POOL_SOLVABLES(p) {
    Solvable *s = pool_id2solvable(pool, p);
    if (s->name == n && s->evr == e && s->arch == a && !pool_badarch_solvable(pool, s))
      queue_push(found, p);
  }
}

/* Each of these adds one line to the request; returns how many packages it speaks of, where that is known. */
void anima_solv_want(Handle *h, int dependency)
{
  queue_push2(&h->jobs, SOLVER_INSTALL | SOLVER_SOLVABLE_PROVIDES, dependency);
}

int anima_solv_want_exact(Handle *h, const char *name, const char *evr, const char *arch)
{
  Queue found;
  int count;
  queue_init(&found);
  collect_exact(h, name, evr, arch, &found);
  count = found.count;
  if (count)
    queue_push2(&h->jobs, SOLVER_INSTALL | SOLVER_SOLVABLE_ONE_OF, pool_queuetowhatprovides(h->pool, &found));
  queue_free(&found);
  return count;
}

static void select_packages(Handle *h, const char *pattern, int flags, Queue *packages)
{
  Queue selection;
  queue_init(&selection);
  selection_make(h->pool, &selection, pattern, flags | SELECTION_NAME | SELECTION_CANON | SELECTION_DOTARCH | SELECTION_GLOB);
  selection_solvables(h->pool, &selection, packages);
  queue_free(&selection);
}

int anima_solv_unwant(Handle *h, const char *pattern)
{
  Queue packages;
  int count;
  queue_init(&packages);
  select_packages(h, pattern, SELECTION_INSTALLED_ONLY, &packages);
  count = packages.count;
  for (int i = 0; i < count; i++)
    queue_push2(&h->jobs, SOLVER_ERASE | SOLVER_SOLVABLE, packages.elements[i]);
  queue_free(&packages);
  return count;
}

int anima_solv_exclude(Handle *h, const char *pattern)
{
  Pool *pool = h->pool;
  Queue packages;
  int count = 0;
  queue_init(&packages);
  select_packages(h, pattern, SELECTION_WITH_DISABLED, &packages);
  if (!h->excluded.size) {
    map_init(&h->excluded, pool->nsolvables);
    map_setall(&h->excluded);
  }
  for (int i = 0; i < packages.count; i++) {
    Id p = packages.elements[i];
    if (pool->installed && pool_id2solvable(pool, p)->repo == pool->installed)
      continue;
    MAPCLR(&h->excluded, p);
    count++;
  }
  queue_free(&packages);
  return count;
}

/* ---- answering ---- */

static void keep_transaction(Handle *h)
{
  Transaction *transaction = solver_create_transaction(h->solver);
  transaction_order(transaction, 0);
  for (int i = 0; i < transaction->steps.count; i++) {
    Id p = transaction->steps.elements[i];
    Id type = transaction_type(transaction, p, SOLVER_TRANSACTION_SHOW_ACTIVE | SOLVER_TRANSACTION_SHOW_ALL | SOLVER_TRANSACTION_SHOW_OBSOLETES
                                                   | SOLVER_TRANSACTION_SHOW_MULTIINSTALL);
    if (type == SOLVER_TRANSACTION_IGNORE)
      continue;
    if (pool_id2solvable(h->pool, p)->repo == h->pool->installed)
      queue_push(&h->lists[LIST_REMOVE], p);
    else
      queue_push(&h->lists[LIST_INSTALL], p);
  }
  transaction_free(transaction);
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
  if (flags & FLAG_BEST)
    for (int i = 0; i < h->jobs.count; i += 2)
      h->jobs.elements[i] |= SOLVER_FORCEBEST;
  solver = h->solver = solver_create(h->pool);
  /* The same policy as dnf's, so that a build and a user's machine choose alike. */
  solver_set_flag(solver, SOLVER_FLAG_YUM_OBSOLETES, 1);
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
    keep_transaction(h);
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

int anima_solv_compare_evr(Handle *h, int left, int right)
{
  return pool_evrcmp(h->pool, pool_id2solvable(h->pool, left)->evr, pool_id2solvable(h->pool, right)->evr, EVRCMP_COMPARE);
}
