/* The Linux kernel's own TCP as a peer of the benchmarks: a plain C sender, and a receiver that lands the stream in a
 * memfd region as device memory would be. One connection a run; the last line on stdout is `seconds bytes`. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KIB 1024UL
#define MIB (1024UL * KIB)

static void die(const char *what) {
  fprintf(stderr, "tcp: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static void report(double seconds, uint64_t bytes) {
  printf("%.6f %llu\n", seconds, (unsigned long long)bytes);
  fflush(stdout);
}

/* The congestion control is set explicitly: a machine's default may pace (BBR) and then measures the sender. */
static void use_cubic(int fd) {
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0) die("TCP_CONGESTION cubic");
}

static int connect_to(const char *host, const char *port) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
  if (getaddrinfo(host, port, &hints, &found) != 0) die("address");
  /* The receiver may still be starting: try for ten seconds at the most. */
  for (int attempt = 0; attempt < 100; attempt++) {
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0) die("socket");
    use_cubic(fd);
    if (connect(fd, found->ai_addr, found->ai_addrlen) == 0) return fd;
    if (errno != ECONNREFUSED && errno != EHOSTUNREACH && errno != ENETUNREACH) die("connect");
    close(fd);
    usleep(100 * 1000);
  }
  die("connect");
  return -1;
}

static int accept_one(const char *port) {
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(port))};
  int yes = 1, no = 0, fd = socket(AF_INET6, SOCK_STREAM, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind");
  if (listen(fd, 1) != 0) die("listen");
  puts("ready");
  fflush(stdout);
  int connection = accept(fd, NULL, NULL);
  if (connection < 0) die("accept");
  return connection;
}

/* send HOST PORT MIB WRITE_KIB: timed from the established connection to the receiver's FIN. */
static void run_send(char **argv) {
  int fd = connect_to(argv[2], argv[3]);
  uint64_t total = strtoull(argv[4], NULL, 10) * MIB, sent = 0;
  size_t size = strtoull(argv[5], NULL, 10) * KIB;
  char *buffer = malloc(size), last;
  memset(buffer, 0x5a, size);
  double start = now();
  while (sent < total) {
    ssize_t n = write(fd, buffer, total - sent < size ? total - sent : size);
    if (n < 0) die("write");
    sent += n;
  }
  shutdown(fd, SHUT_WR);
  while (read(fd, &last, 1) > 0) {
  }
  report(now() - start, sent);
}

/* receive PORT REGION_MIB RECV_KIB: recv() straight into a shared memfd region, over and over. */
static void run_receive(char **argv) {
  size_t region = strtoull(argv[3], NULL, 10) * MIB, step = strtoull(argv[4], NULL, 10) * KIB, at = 0;
  int memory = memfd_create("region", MFD_CLOEXEC);
  if (memory < 0 || ftruncate(memory, region) != 0) die("memfd");
  char *base = mmap(NULL, region, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory, 0);
  if (base == MAP_FAILED) die("mmap");
  int fd = accept_one(argv[2]);
  uint64_t total = 0;
  double start = now();
  for (;;) {
    ssize_t n = recv(fd, base + at, region - at < step ? region - at : step, 0);
    if (n < 0) die("recv");
    if (n == 0) break;
    total += n;
    at = (at + n) % region;
  }
  report(now() - start, total);
}

/* sink PORT: reads and forgets, timed by itself: for measuring senders. */
static void run_sink(char **argv) {
  int fd = accept_one(argv[2]);
  size_t size = 256 * KIB;
  char *buffer = malloc(size);
  uint64_t total = 0;
  double start = now();
  for (ssize_t n; (n = read(fd, buffer, size)) != 0; total += n) {
    if (n < 0) die("read");
  }
  report(now() - start, total);
}

int main(int argc, char **argv) {
  if (argc == 6 && strcmp(argv[1], "send") == 0) run_send(argv);
  else if (argc == 5 && strcmp(argv[1], "receive") == 0) run_receive(argv);
  else if (argc == 3 && strcmp(argv[1], "sink") == 0) run_sink(argv);
  else {
    fprintf(stderr, "usage: tcp send HOST PORT MIB WRITE_KIB | receive PORT REGION_MIB RECV_KIB | sink PORT\n");
    return 2;
  }
  return 0;
}
