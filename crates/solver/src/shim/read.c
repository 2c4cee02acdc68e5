/*
 * From files to packages in the pool. What comes from outside is watched on its way into libsolv (guard.c): libsolv trusts that a
 * document is of a sane size and its dependencies of a sane shape.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <solv/repo_rpmdb.h>
#include <solv/repo_rpmmd.h>
#include <solv/repo_solv.h>
#include <solv/repo_write.h>
#include <solv/solv_xfopen.h>

#include "shim.h"

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
  /* Debian's libsolv (0.7.23) does not know this one: it would take nothing but packages of its very name. */
  if (!strcmp(arch, "x86_64_v2"))
    pool_setarchpolicy(h->pool, "x86_64_v2:x86_64:i686:i586:i486:i386");
  else
    pool_setarch(h->pool, arch);
  /* Keeps excluded packages visible to the explanation: "is filtered out by exclude filtering". */
  pool_set_flag(h->pool, POOL_FLAG_WHATPROVIDESWITHDISABLED, 1);
  /* A 32-bit and a 64-bit package of one name live side by side, in the same version, as with rpm's colors. Enterprise Linux
     compiles its libsolv so; others do not. */
  pool_set_flag(h->pool, POOL_FLAG_IMPLICITOBSOLETEUSESCOLORS, 1);
  queue_init(&h->open_repos);
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
  if (h->transaction)
    transaction_free(h->transaction);
  h->transaction = 0;
  if (h->solver)
    solver_free(h->solver);
  h->solver = 0;
  h->pool->considered = 0;
  free(h->lacks);
  h->lacks = 0;
  if (h->is_narrowed) {
    pool_set_flag(h->pool, POOL_FLAG_WHATPROVIDESWITHDISABLED, 1);
    h->prepared_solvables = 0;
    h->is_narrowed = 0;
  }
  map_free(&h->excluded);
  memset(&h->excluded, 0, sizeof(h->excluded));
  queue_empty(&h->open_repos);
  queue_empty(&h->jobs);
  for (int i = 0; i < 3; i++)
    queue_empty(&h->lists[i]);
  queue_empty(&h->rules);
}

void anima_solv_free(Handle *h)
{
  anima_solv_reset(h);
  queue_free(&h->open_repos);
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

int anima_solv_repo_count(Handle *h, int repoid)
{
  Repo *repo = pool_id2repo(h->pool, repoid);
  return repo ? repo->nsolvables : 0;
}

/* Takes the descriptor over, whatever happens. The suffix of the name says the compression. */
int anima_solv_repo_add_xml(Handle *h, int repoid, int fd, const char *name, int document, int64_t max_bytes)
{
  Repo *repo = pool_id2repo(h->pool, repoid);
  FILE *inner, *fp;
  int result;

  h->prepared_solvables = 0;
  inner = solv_xfopen_fd(name, fd, "r");
  if (!inner) {
    close(fd);
    return pool_error(h->pool, -1, "libsolv does not read this compression");
  }
  fp = guard_open(&h->guard, inner, max_bytes);
  if (!fp) {
    fclose(inner);
    return pool_error(h->pool, -1, "no memory");
  }
  if (document == DOCUMENT_FILELISTS)
    result = repo_add_rpmmd(repo, fp, "FL", REPO_EXTEND_SOLVABLES);
  else
    result = repo_add_rpmmd(repo, fp, 0, 0);
  fclose(fp);
  if (h->guard.refused)
    return pool_error(h->pool, -1, "%s", h->guard.refused);
  return result;
}

const char *anima_solv_head(Handle *h) { return h->guard.head; }

int anima_solv_repo_add_bytes(Handle *h, int repoid, const char *data, size_t len)
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

/* Returns the repository in libsolv's own form, which anima_solv_release frees, or nothing. */
char *anima_solv_repo_bytes(Handle *h, int repoid, size_t *len)
{
  char *bytes = 0;
  FILE *fp = open_memstream(&bytes, len);
  int result = fp ? repo_write(pool_id2repo(h->pool, repoid), fp) : -1;
  if (fp && fclose(fp) != 0)
    result = -1;
  if (result == 0)
    return bytes;
  free(bytes);
  return 0;
}

/* Says that the packages of a repository are those that are installed. */
void anima_solv_repo_is_installed(Handle *h, int repoid)
{
  h->prepared_solvables = 0;
  pool_set_installed(h->pool, pool_id2repo(h->pool, repoid));
}

void anima_solv_release(char *bytes) { free(bytes); }

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

