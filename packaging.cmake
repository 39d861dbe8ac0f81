# What an installation gets besides the programs, and the Debian package: units, users, folders, samples of settings, man pages, profiles,
# samples. Only in a build without tests (preset release), where `cpack -G DEB` makes the package.
if(BUILD_TESTING)
    return()
endif()
set(unit_dir lib/systemd/system)
foreach(unit IN ITEMS api/pj-api runner/pj-runner)
    # The units name /usr/bin; another prefix is another folder.
    file(READ ${unit}.service text)
    string(REPLACE "/usr/bin/" "${CMAKE_INSTALL_FULL_BINDIR}/" text "${text}")
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${unit}.service CONTENT "${text}" @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/${unit}.service DESTINATION ${unit_dir})
endforeach()
install(FILES runner/pithyjaunt.sysusers DESTINATION lib/sysusers.d RENAME pithyjaunt.conf)
install(FILES runner/pithyjaunt.tmpfiles DESTINATION lib/tmpfiles.d RENAME pithyjaunt.conf)
install(FILES api/api.conf runner/runner.conf sandbox/pj-sandbox.apparmor DESTINATION share/pithyjaunt)
install(FILES helm/files/alerts.yaml helm/files/dashboard.json helm/files/runner-seccomp.json DESTINATION share/pithyjaunt)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "Caddyfile"
    PATTERN "nginx.conf")
install(PROGRAMS docs/examples/pj-rootfs DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES packaging/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES packaging/lintian-overrides DESTINATION share/lintian/overrides RENAME pithyjaunt)

# gzip without a time, so that the same source makes the same package.
find_program(PJ_GZIP gzip)
set(made)
function(pj_made output)
    cmake_parse_arguments(A "" "DESTINATION;INPUT" "COMMAND;DEPENDS" ${ARGN})
    get_filename_component(folder ${output} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${output} COMMAND ${A_COMMAND} DEPENDS ${A_DEPENDS} VERBATIM)
    install(FILES ${output} DESTINATION ${A_DESTINATION})
    set(made ${made} ${output} PARENT_SCOPE)
endfunction()
if(PJ_GZIP)
    pj_made(${CMAKE_BINARY_DIR}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR} DEPENDS ${CMAKE_SOURCE_DIR}/packaging/changelog
        COMMAND sh -c "exec \"$1\" -9n <\"$2\" >\"$3\"" sh ${PJ_GZIP} ${CMAKE_SOURCE_DIR}/packaging/changelog
            ${CMAKE_BINARY_DIR}/changelog.gz)
endif()
foreach(shell IN ITEMS bash:bash-completion/completions/pj zsh:zsh/vendor-completions/_pj fish:fish/vendor_completions.d/pj.fish)
    string(REPLACE ":" ";" shell ${shell})
    list(GET shell 0 name)
    list(GET shell 1 path)
    get_filename_component(folder ${path} DIRECTORY)
    pj_made(${CMAKE_BINARY_DIR}/completion/${path} DESTINATION share/${folder} DEPENDS pj
        COMMAND sh -c "exec \"$1\" completion \"$2\" >\"$3\"" sh $<TARGET_FILE:pj> ${name} ${CMAKE_BINARY_DIR}/completion/${path})
endforeach()

find_program(PJ_SCDOC scdoc)
if(PJ_SCDOC AND PJ_GZIP)
    foreach(source IN ITEMS api/cli/pj.1 api/pj-api.8 api/remote/pj-remote.8 runner/pj-runner.8 runner/agent/pj-agent.1 sandbox/pj-sandbox.1 packaging/pithyjaunt.conf.5
            docs/examples/pj-rootfs.1)
        if(EXISTS ${CMAKE_SOURCE_DIR}/${source}.scd)
            get_filename_component(page ${source} NAME)
            string(REGEX REPLACE ".*\\." "man" section ${page})
            pj_made(${CMAKE_BINARY_DIR}/man/${page}.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/${section}
                DEPENDS ${CMAKE_SOURCE_DIR}/${source}.scd
                COMMAND sh -c "\"$1\" <\"$2\" | \"$3\" -9n >\"$4\"" sh ${PJ_SCDOC} ${CMAKE_SOURCE_DIR}/${source}.scd ${PJ_GZIP}
                    ${CMAKE_BINARY_DIR}/man/${page}.gz)
        endif()
    endforeach()
endif()
add_custom_target(packaged ALL DEPENDS ${made})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME pithyjaunt)
set(CPACK_PACKAGE_VENDOR "Pithy Jaunt")
set(CPACK_PACKAGE_CONTACT "Pithy Jaunt <pithyjaunt@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "turns a task into a pull request, in a sandbox")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"An HTTP API takes tasks, runners carry each out with a coding agent inside a
sandbox of its own, and what comes out is a branch and a pull request.

This package has the API, the runner, the sandbox, the agent and the command
line. Redis holds the state.")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, git, python3, redis-server (>= 5:7)")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/packaging/postinst ${CMAKE_SOURCE_DIR}/packaging/prerm
    ${CMAKE_SOURCE_DIR}/packaging/postrm)
include(CPack)
