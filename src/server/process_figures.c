#include "server/process_figures.h"

#include "metrics/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PROC_TEXT_MAX = 1024, START_TIME_FIELD = 22, US_PER_S = 1000000 };

/* As a C string; false when it cannot be read. */
static bool read_text(const char *path, char text[PROC_TEXT_MAX]) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t got = read(fd, text, PROC_TEXT_MAX - 1);
  close(fd);
  text[got > 0 ? got : 0] = '\0';
  return got > 0;
}

static void write_memory(struct buffer *out) {
  char text[PROC_TEXT_MAX];
  char *at = text;
  if (!read_text("/proc/self/statm", text)) return;
  uint64_t total = strtoull(at, &at, 10); /* in pages */
  uint64_t resident = strtoull(at, &at, 10);
  uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
  metrics_gauge(out, "process_resident_memory_bytes", "Memory that the process has in RAM.", resident * page_bytes);
  metrics_gauge(out, "process_virtual_memory_bytes", "Address space of the process.", total * page_bytes);
}

static uint64_t us_of(struct timeval time) {
  return (uint64_t)time.tv_sec * US_PER_S + (uint64_t)time.tv_usec;
}

static void write_cpu(struct buffer *out) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return;
  metrics_family(out, "process_cpu_seconds_total", METRIC_COUNTER, "CPU time of the process, user and system.");
  metrics_seconds(out, "process_cpu_seconds_total", NULL, us_of(usage.ru_utime) + us_of(usage.ru_stime));
}

static uint64_t count_entries(const char *path) {
  DIR *directory = opendir(path);
  uint64_t count = 0;
  if (directory == NULL) return 0;
  for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
    count += entry->d_name[0] != '.';
  closedir(directory);
  return count > 0 ? count - 1 : 0; /* the directory itself was open */
}

/* Newer systems say how many there are without being asked for each. */
static void write_files(struct buffer *out) {
  struct stat stat_of_fds;
  struct rlimit limit;
  bool knows = stat("/proc/self/fd", &stat_of_fds) == 0 && stat_of_fds.st_size > 0;
  uint64_t count = knows ? (uint64_t)stat_of_fds.st_size : count_entries("/proc/self/fd");
  if (count > 0) metrics_gauge(out, "process_open_fds", "Open file descriptors.", count);
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  metrics_gauge(out, "process_max_fds", "Most file descriptors that may be open.", limit.rlim_cur);
}

/* Behind the name in parentheses, which may hold anything. */
static const char *field_of_stat(const char *text, int field) {
  const char *at = strrchr(text, ')');
  for (int i = 2; at != NULL && i < field; i++)
    at = strchr(at + 1, ' ');
  return at;
}

static uint64_t now_us(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

/* The system counts from its boot. Rounded, since the two clocks cannot be read at once. */
static void write_start(struct buffer *out) {
  char text[PROC_TEXT_MAX];
  if (!read_text("/proc/self/stat", text)) return;
  const char *ticks = field_of_stat(text, START_TIME_FIELD);
  if (ticks == NULL) return;
  uint64_t tick_us = US_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
  uint64_t boot_us = now_us(CLOCK_REALTIME) - now_us(CLOCK_BOOTTIME);
  uint64_t start_us = boot_us + strtoull(ticks, NULL, 10) * tick_us;
  metrics_family(out, "process_start_time_seconds", METRIC_GAUGE, "When the process started, since 1970.");
  metrics_seconds(out, "process_start_time_seconds", NULL, (start_us + tick_us / 2) / tick_us * tick_us);
}

void process_figures_write(struct buffer *out) {
  write_memory(out);
  write_cpu(out);
  write_files(out);
  write_start(out);
}
