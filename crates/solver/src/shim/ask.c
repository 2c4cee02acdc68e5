/* From the lines of a request to jobs of libsolv, and the index of providers that both rest on. */
#include <string.h>

#include <solv/dataiterator.h>
#include <solv/pool_parserpmrichdep.h>
#include <solv/poolarch.h>
#include <solv/selection.h>

#include "shim.h"

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

static void begin_excluding(Handle *h)
{
  if (!h->excluded.size) {
    map_init(&h->excluded, h->pool->nsolvables);
    map_setall(&h->excluded);
  }
}

static int queue_contains_id(const Queue *q, Id id)
{
  for (int i = 0; i < q->count; i++)
    if (q->elements[i] == id)
      return 1;
  return 0;
}

/* A package that is installed, or of a repository that nothing is hidden of, stays. */
static int is_hidable(Handle *h, Id p)
{
  Repo *repo = pool_id2solvable(h->pool, p)->repo;
  return repo != h->pool->installed && !queue_contains_id(&h->open_repos, repo->repoid);
}

/* Nothing is hidden of the repository of this name. */
void anima_solv_open_repo(Handle *h, const char *name)
{
  Pool *pool = h->pool;
  Repo *repo;
  int i;
  FOR_REPOS(i, repo)
    if (!strcmp(repo->name, name))
      queue_push(&h->open_repos, repo->repoid);
}

/* Hides, or shows again, exact packages. */
void anima_solv_show_exact(Handle *h, const char *name, const char *evr, const char *arch, int is_shown)
{
  Pool *pool = h->pool;
  Id n = pool_str2id(pool, name, 0), e = pool_str2id(pool, evr, 0), a = pool_str2id(pool, arch, 0), p, pp;
  if (!n || !e || !a)
    return;
  begin_excluding(h);
  /* Every package provides its own name. */
  FOR_PROVIDES(p, pp, n) {
    Solvable *s = pool_id2solvable(pool, p);
    if (s->name != n || s->evr != e || s->arch != a || !is_hidable(h, p))
      continue;
    if (is_shown)
      MAPSET(&h->excluded, p);
    else
      MAPCLR(&h->excluded, p);
  }
}

/* Hides all packages that have a name, or provide it. */
void anima_solv_hide_name(Handle *h, const char *name)
{
  Pool *pool = h->pool;
  Id n = pool_str2id(pool, name, 0), p, pp;
  if (!n)
    return;
  begin_excluding(h);
  FOR_PROVIDES(p, pp, n)
    if (is_hidable(h, p))
      MAPCLR(&h->excluded, p);
}

int anima_solv_exclude(Handle *h, const char *pattern)
{
  Pool *pool = h->pool;
  Queue packages;
  int count = 0;
  queue_init(&packages);
  select_packages(h, pattern, SELECTION_WITH_DISABLED, &packages);
  begin_excluding(h);
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

