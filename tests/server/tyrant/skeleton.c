/* A plug-in for -skel: records in memory, by way of the library's own hash table. With FEW, it has only what
 * the smallest one would have. The names `refused` and `absent` are not opened. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcadb.h>

typedef struct {
  TCMDB *records;
  char name[256];
} Shelf;

static void give_up(void *shelf) {
  tcmdbdel(((Shelf *)shelf)->records);
  free(shelf);
}

static bool open_shelf(void *shelf, const char *name) {
  if (strcmp(name, "refused") == 0) return false;
  snprintf(((Shelf *)shelf)->name, sizeof ((Shelf *)shelf)->name, "%s", name);
  return true;
}

static bool close_shelf(void *shelf) {
  puts(((Shelf *)shelf)->name);
  return fflush(stdout) == 0;
}

static bool put(void *shelf, const void *key, int ksiz, const void *value, int vsiz) {
  if (vsiz == 4 && memcmp(value, "fail", 4) == 0) return false;
  tcmdbput(((Shelf *)shelf)->records, key, ksiz, value, vsiz);
  return true;
}

static void *get(void *shelf, const void *key, int ksiz, int *size) {
  return tcmdbget(((Shelf *)shelf)->records, key, ksiz, size);
}

static bool out(void *shelf, const void *key, int ksiz) {
  return tcmdbout(((Shelf *)shelf)->records, key, ksiz);
}

static bool each(void *shelf, TCITER see, void *op) {
  tcmdbforeach(((Shelf *)shelf)->records, see, op);
  return true;
}

#ifndef FEW
static bool putkeep(void *shelf, const void *key, int ksiz, const void *value, int vsiz) {
  return tcmdbputkeep(((Shelf *)shelf)->records, key, ksiz, value, vsiz);
}

static bool putcat(void *shelf, const void *key, int ksiz, const void *value, int vsiz) {
  tcmdbputcat(((Shelf *)shelf)->records, key, ksiz, value, vsiz);
  return true;
}

static int value_size(void *shelf, const void *key, int ksiz) {
  return tcmdbvsiz(((Shelf *)shelf)->records, key, ksiz);
}

static bool first(void *shelf) {
  tcmdbiterinit(((Shelf *)shelf)->records);
  return true;
}

static void *next(void *shelf, int *size) { return tcmdbiternext(((Shelf *)shelf)->records, size); }

static TCLIST *keys(void *shelf, const void *prefix, int psiz, int most) {
  return tcmdbfwmkeys(((Shelf *)shelf)->records, prefix, psiz, most);
}

static int addint(void *shelf, const void *key, int ksiz, int by) {
  return tcmdbaddint(((Shelf *)shelf)->records, key, ksiz, by);
}

static double adddouble(void *shelf, const void *key, int ksiz, double by) {
  return tcmdbadddouble(((Shelf *)shelf)->records, key, ksiz, by);
}

static bool sync_shelf(void *shelf) { return true; }

static bool optimize(void *shelf, const char *parameters) { return parameters[0] != '-'; }

static bool vanish(void *shelf) {
  tcmdbvanish(((Shelf *)shelf)->records);
  return true;
}

static bool copy(void *shelf, const char *path) {
  FILE *file = fopen(path, "w");
  if (file == NULL) return false;
  fprintf(file, "%llu records", (unsigned long long)tcmdbrnum(((Shelf *)shelf)->records));
  return fclose(file) == 0;
}

static const char *path(void *shelf) { return ((Shelf *)shelf)->name; }

static uint64_t count(void *shelf) { return tcmdbrnum(((Shelf *)shelf)->records); }

static uint64_t size(void *shelf) { return 4321; }

static TCLIST *misc(void *shelf, const char *name, const TCLIST *arguments) {
  if (strcmp(name, "put") == 0 && tclistnum(arguments) == 2) {
    int ksiz, vsiz;
    const void *key = tclistval(arguments, 0, &ksiz), *value = tclistval(arguments, 1, &vsiz);
    return put(shelf, key, ksiz, value, vsiz) ? tclistnew() : NULL;
  }
  if (strcmp(name, "nosuch") == 0) return NULL;
  TCLIST *echo = tclistdup(arguments);
  tclistunshift2(echo, name);
  return echo;
}

static bool putproc(void *shelf, const void *key, int ksiz, const void *value, int vsiz, TCPDPROC see,
                    void *op) {
  return tcmdbputproc(((Shelf *)shelf)->records, key, ksiz, value, vsiz, see, op);
}
#endif

bool initialize(ADBSKEL *skeleton) {
#ifdef FAILS
  return false;
#endif
  Shelf *shelf = calloc(1, sizeof *shelf);
  shelf->records = tcmdbnew();
  skeleton->opq = shelf;
  skeleton->del = give_up;
  skeleton->open = open_shelf;
  skeleton->close = close_shelf;
  skeleton->put = put;
  skeleton->get = get;
  skeleton->out = out;
  skeleton->foreach = each;
#ifndef FEW
  skeleton->putkeep = putkeep;
  skeleton->putcat = putcat;
  skeleton->vsiz = value_size;
  skeleton->iterinit = first;
  skeleton->iternext = next;
  skeleton->fwmkeys = keys;
  skeleton->addint = addint;
  skeleton->adddouble = adddouble;
  skeleton->sync = sync_shelf;
  skeleton->optimize = optimize;
  skeleton->vanish = vanish;
  skeleton->copy = copy;
  skeleton->path = path;
  skeleton->rnum = count;
  skeleton->size = size;
  skeleton->misc = misc;
  skeleton->putproc = putproc;
#endif
  return true;
}
