pj_fuzz(fuzz_patch SOURCES fuzz_patch.c LIBS pj_publish CORPUS patch)
pj_fuzz(fuzz_repo_address SOURCES fuzz_repo_address.c LIBS pj_forge CORPUS repo_address)
