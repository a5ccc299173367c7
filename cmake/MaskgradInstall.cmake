# find_package(maskgrad) for projects outside this tree.
include(CMakePackageConfigHelpers)
configure_package_config_file(cmake/maskgradConfig.cmake.in maskgradConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/maskgrad)
write_basic_package_version_file(maskgradConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/maskgradConfig.cmake
              ${PROJECT_BINARY_DIR}/maskgradConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/maskgradCudaOptions.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/maskgrad)
install(EXPORT maskgradTargets NAMESPACE maskgrad::
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/maskgrad)
