# pj_publish: from a work tree to a pull request.
pj_library(pj_publish
    SOURCES workspace.c workspace_sweep.c checkout.c collect.c collect_walk.c patch_path.c patch_parse.c patch_head.c patch_hunk.c patch_apply.c patch_binary.c
        publish.c publish_apply.c patch_policy.c coderabbit.c credential.c pull.c pull_extras.c pull_body.c pull_preflight.c retry.c
    LIBS pj_git pj_forge pj_http pj_json pj_crypto pj_base PkgConfig::ZLIB)
