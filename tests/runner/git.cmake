# Tests of pj_publish.
pj_test(test_workspace SOURCES workspace_fix.c test_workspace.c LIBS pj_publish pj_support)
pj_test(test_collect SOURCES workspace_fix.c test_collect.c LIBS pj_publish pj_support)
pj_test(test_publish SOURCES workspace_fix.c test_publish.c LIBS pj_publish pj_support)
pj_test(test_pull SOURCES workspace_fix.c test_pull.c LIBS pj_publish pj_support)
pj_test(test_patch_parse SOURCES test_patch_parse.c LIBS pj_publish)
pj_test(test_patch_property SOURCES workspace_fix.c test_patch_property.c LIBS pj_publish pj_support TIMEOUT 900)
pj_test(test_publish_crash SOURCES workspace_fix.c test_publish_crash.c LIBS pj_publish pj_support TIMEOUT 600)
pj_test(test_credential SOURCES test_credential.c LIBS pj_publish pj_support PkgConfig::CRYPTO)
