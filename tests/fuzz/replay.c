/* replay.c - runs a fuzz target over the files of a folder: what was found once is tested for ever, in every build. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *folder, const char *name)
{
    char path[4096];
    static uint8_t bytes[1 << 20];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        perror(path);
        return -1;
    }
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    uint8_t *exact = malloc(n > 0 ? n : 1); /* so that the sanitizer sees a read past the end */
    if (exact == NULL)
        return -1;
    for (size_t i = 0; i < n; i++)
        exact[i] = bytes[i];
    int rc = LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    return rc;
}

int main(int argc, char **argv)
{
    int files = 0;

    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        const struct dirent *entry;
        if (dir == NULL) {
            perror(argv[i]);
            return 1;
        }
        while ((entry = readdir(dir)) != NULL) {
            if (entry->d_name[0] == '.')
                continue;
            if (run_file(argv[i], entry->d_name) != 0)
                return 1;
            files++;
        }
        closedir(dir);
    }
    printf("%d files\n", files);
    return files > 0 ? 0 : 1;
}
